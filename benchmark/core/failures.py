"""One sentence and an exit code for whatever exception ends a command."""

from __future__ import annotations

import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from traceback import FrameSummary, extract_tb

from benchmark.core.errors import AdapterError, BenchError
from benchmark.core.files import machine_error
from benchmark.core.interrupt import listening, received

SIGNAL_SECONDS = 0.2
"""A process that this one has started may tell of a Ctrl-C before this one has heard of it itself."""
PACKAGE = Path(__file__).parents[1]
TRACE = "run with --verbose for the stack trace"


def explained(error: BaseException) -> BenchError:
    """Return what a user is told of an exception, with its exit code: of the machine, of a plugin, or a fault here."""
    for one in _chain(error):
        if isinstance(one, BenchError):
            return one
    for one in _chain(error):
        if told := machine_error(one):
            return told
    frames = extract_tb(error.__traceback__)
    if not isinstance(error, Exception):
        return AdapterError(
            f"{_called(error)}{_at(_innermost(frames))} before the command was finished",
            "take it out of the code: only a finished command counts",
        )
    sentence = f"{type(error).__name__}: {_one_line(error)}"
    if foreign := _of_plugin(frames):
        return AdapterError(f"{sentence}{_at(foreign)}", TRACE)
    return BenchError(f"unexpected {sentence}{_at(_innermost(frames))}", f"{TRACE}, and report it: it is a fault")


def is_signal(error: BaseException) -> bool:
    """Whether a signal of the user has raised this, not code that raises KeyboardInterrupt itself."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    if listening() and not received():
        time.sleep(SIGNAL_SECONDS)
    return not listening() or bool(received())


def _called(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called"
    return f"{type(error).__name__} was raised"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, each once."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and not any(one is other for other in seen):
        yield one
        seen.append(one)
        one = one.__cause__


def _innermost(frames: Sequence[FrameSummary]) -> FrameSummary | None:
    """Return the last frame that is not of Python's own library; the last one where there is none."""
    own = [frame for frame in frames if _is_package(frame) or not _is_python(frame)]
    return own[-1] if own else frames[-1] if frames else None


def _of_plugin(frames: Sequence[FrameSummary]) -> FrameSummary | None:
    """Return the last frame of a file that is neither of this package nor of an installed one."""
    ours = (PACKAGE, *(PACKAGE.parent / name for name in ("memobench", "models", "datasets")))
    others = [frame for frame in frames if not _is_package(frame) and not _is_python(frame)]
    foreign = [frame for frame in others if not any(map(Path(frame.filename).is_relative_to, ours))]
    return foreign[-1] if foreign else None


def _is_package(frame: FrameSummary) -> bool:
    """Whether a frame is of an installed package; these may be below Python's own library."""
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(frame.filename).parts)


def _is_python(frame: FrameSummary) -> bool:
    return frame.filename.startswith((sysconfig.get_paths()["stdlib"], "<"))


def _at(frame: FrameSummary | None) -> str:
    return f" ({frame.filename}, line {frame.lineno}, in {frame.name})" if frame else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
