"""A command in a process of its own, and the small one above it that ends it, tidies up and tells what happened.

Python runs the handler of a signal between two of its instructions. A command may be deep in compiled code for longer
than a user waits, and code of a plugin may end the process (`os._exit(0)`) or crash it. The process above runs no such
code: it passes signals on, kills after `GRACE_SECONDS`, removes temporary files, writes into status.json how the run
ended, and exits with 0 only where the command has said that it is finished.
"""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmark.core.descendants import descendants
from benchmark.core.interrupt import SIGNALS, heeded

GRACE_SECONDS = 2.5
"""Time between a signal and the killing of the command: with what follows it ends within five seconds."""
FAREWELL_SECONDS = 30
"""Time that a finished command may take to end its process: threads or exit handlers of libraries may hang."""
RESUMABLE = ("audit", "evaluate", "prompts", "reproduce", "run", "sweep")
"""Commands that keep what is finished, and resume when they are called again."""


def supervised(work: Callable[[], int]) -> int:
    """Run `work` in a process of its own, and return the exit code of the command.

    Args:
        work: returns the exit code; it is called in the other process, after signals raise `Interrupted` there.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is inherited as ignored, no exit code is kept
    journal = _new_journal()
    reading, writing = os.pipe()
    with _blocked():
        child = os.fork()
        if child == 0:
            os.close(reading)
            _end_with(os.getppid())
            _work(work, writing)
        os.close(writing)
        stop = Stop(child)
        stop.listen()
    try:
        state = _waited(child)
        stop.over()
        return _ended(state, stop.number, _said(reading), journal)
    finally:
        os.close(reading)
        if journal:
            journal.unlink(missing_ok=True)


class Stop:
    """What a signal does: the first is passed on, the same one again kills, and so does the end of the time."""

    def __init__(self, child: int) -> None:
        self.child, self.number = child, 0

    def listen(self) -> None:
        """Handle the signals that are not ignored."""
        for number in heeded():
            signal.signal(number, self._heard)
        signal.signal(signal.SIGALRM, self._late)

    def over(self) -> None:
        """Ignore further signals, and the end of the time: the command has ended, and what it left is tidied up."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.number == number:
            kill_tree(self.child)
        elif not self.number:
            self.number = number
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
            with suppress(ProcessLookupError):
                os.kill(self.child, number)
            import benchmark.cli.aftermath  # noqa: F401  # while the command ends, so that no time is lost afterwards

    def _late(self, _number: int, _frame: FrameType | None) -> None:
        kill_tree(self.child)


def kill_tree(root: int) -> None:
    """Kill a process and all that it has started (on Linux; elsewhere these end by themselves within a second)."""
    for pid in (root, *descendants(root)):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _work(work: Callable[[], int], writing: int) -> NoReturn:
    """Be the command: run it, tell its exit code, and end the process: only the other one returns to the caller."""
    code = _code(work)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os.write(writing, b"%d\n" % code)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(FAREWELL_SECONDS)
    atexit._run_exitfuncs()
    os._exit(code)


def _code(work: Callable[[], int]) -> int:
    from benchmark.core.interrupt import listen, received

    try:
        listen()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return work()
    except KeyboardInterrupt:
        return 128 + (received() or signal.SIGINT)
    except BaseException:  # noqa: BLE001  # nothing may get past here: two processes would run what follows
        traceback.print_exc()
        return 1


def _end_with(parent: int) -> None:
    """Let this process end with the one that has started it, even if that is killed."""
    if sys.platform == "linux":
        import ctypes

        death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        from benchmark.core.processes import end_with_parent

        end_with_parent(parent)


@contextmanager
def _blocked() -> Iterator[None]:
    """Keep signals waiting until both processes are ready for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _new_journal() -> Path | None:
    from benchmark.core.leftovers import JOURNAL

    try:
        number, name = tempfile.mkstemp(prefix="memobench-")
    except OSError:  # no folder for temporary files: the next start removes what this command leaves
        return None
    os.close(number)
    os.environ[JOURNAL] = name
    return Path(name)


def _waited(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _said(reading: int) -> int | None:
    """Return the exit code that the command has told, if it came to its end."""
    os.set_blocking(reading, False)
    try:
        return int(os.read(reading, 64))
    except (BlockingIOError, ValueError):
        return None


def _ended(state: int, number: int, said: int | None, journal: Path | None) -> int:
    """Tidy up where the command was stopped or has died, tell what happened, and return the exit code."""
    if said is not None and not (number and said == 128 + number):
        return said
    from benchmark.cli.aftermath import death, say, tidied

    if number:
        tidied(journal, KeyboardInterrupt())
        if os.environ.get("RANK", "0") == "0":
            say(_how_to_resume())
        return 128 + number
    error = death(state)
    tidied(journal, error)
    say(f"error: {error}")
    return error.exit_code


def _how_to_resume() -> str:
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if command not in RESUMABLE:
        return "stopped"
    if "RANK" in os.environ:
        return "stopped; the same torchrun command resumes"
    program = Path(sys.argv[0]).name
    words = ["python", "-m", "benchmark"] if program == "__main__.py" else [program]
    return f"stopped; to resume: {shlex.join([*words, *sys.argv[1:]])}"
