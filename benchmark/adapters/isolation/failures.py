"""What a model raised, or how its process ended, as one sentence of the evaluator."""

from __future__ import annotations

import errno
import signal
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.core.errors import (
    AdapterError,
    BadDataError,
    BenchError,
    DamagedError,
    DeclinedError,
    MachineError,
    MissingDataError,
    UsageError,
)
from benchmark.core.interrupt import signal_name

KINDS: dict[str, type[BenchError]] = {
    kind.__name__: kind
    for kind in (
        AdapterError, BadDataError, BenchError, DamagedError, DeclinedError, MachineError, MissingDataError, UsageError,
    )
}  # fmt: skip
"""Errors that are the same in both processes."""
LONGEST = 4000
"""Letters of a message that are kept."""
VERBOSE = "run with --verbose for the stack trace"
NO_EXIT = "a model returns or raises an error: it must not end its process"


class ProcessEndedError(AdapterError):
    """The process of a model ended without an answer."""


def told_of(error: BaseException) -> dict[str, Any]:
    """Describe an error for the other process."""
    kind = next((name for cls in type(error).__mro__ for name, known in KINDS.items() if cls is known), "")
    told = {
        "kind": kind, "type": type(error).__name__, "errno": getattr(error, "errno", None),
        "trace": "".join(traceback.format_exception(error)),
    }  # fmt: skip
    if isinstance(error, BenchError):
        texts = {"message": error.message, "hint": error.hint, "reason": getattr(error, "reason", "")}
    else:
        texts = {"message": str(error)}
    return told | {name: str(text)[:LONGEST] for name, text in texts.items()}


def raised(told: Mapping[str, Any], name: str, stage: str, log: Path | None) -> BenchError:
    """Return the error that `told_of` described, for the model `name`; its stack trace is kept in `log`."""
    texts = {key: str(told.get(key, "")) for key in ("kind", "type", "message", "hint", "reason")}
    if texts["kind"] == "DeclinedError":
        return DeclinedError(texts["message"], texts["hint"], texts["reason"])
    if texts["kind"] in KINDS:
        return KINDS[texts["kind"]](texts["message"], texts["hint"])
    if told.get("errno") == errno.ENOSPC:  # from a writer that does not go through `core.files`
        return MachineError(f"the disk is full: {stage} of {name} could not be written", "free some space")
    trace = kept(log, str(told.get("trace", "")))
    if texts["type"] == "SystemExit":
        return AdapterError(f"{name} called sys.exit({texts['message']}) in {stage}", NO_EXIT)
    text = f"{name} failed in {stage}: {texts['type']}: {texts['message']}"
    if stage == "import":
        text = f"{name} could not be imported: {texts['type']}: {texts['message']}"
    return AdapterError(text, f"the stack trace is in {trace}" if trace else VERBOSE)


def ended(code: int | None, name: str, stage: str, log: Path | None, trace: str) -> ProcessEndedError:
    """Say how a process ended without an answer: its exit code, negative for a signal, None where it still runs."""
    place = kept(log, trace)
    where = f"; the stack trace is in {place}" if place else ""
    if code is None:
        return ProcessEndedError(f"{name} closed its connection to the evaluator in {stage}", NO_EXIT)
    if code >= 0:
        return ProcessEndedError(f"{name} ended its process in {stage}, with exit code {code}", NO_EXIT)
    if -code == signal.SIGKILL:
        return ProcessEndedError(
            f"the process of {name} was killed in {stage} (SIGKILL), as the system does when memory runs out",
            "use smaller batches or images, or a machine with more memory",
        )
    return ProcessEndedError(
        f"the process of {name} crashed in {stage} ({signal_name(-code)})",
        f"its code or a library that it uses is at fault{where}",
    )


def kept(log: Path | None, trace: str) -> Path | None:
    """Write a stack trace to the log, and return where it is; None without a log or a trace."""
    if log is None or not trace:
        return None
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(trace, encoding="utf-8", errors="backslashreplace")
    return log
