"""After a command was stopped or its process has died: files, status, and one sentence."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path

from benchmark.core.errors import AdapterError, BenchError, MachineError
from benchmark.core.interrupt import signal_name
from benchmark.core.leftovers import remove_leftovers, remove_working_folders, visited
from benchmark.core.progress import printable
from benchmark.core.stages import Stages, exclusive

STATUS = "status.json"


def tidied(journal: Path | None, ended: BaseException) -> None:
    """Remove the temporary files of a command that has ended, and write into its runs' status how it ended."""
    remove_working_folders()
    for folder in visited(journal) if journal else ():
        remove_leftovers(folder)
        if (folder / STATUS).exists():
            with suppress(BenchError, OSError), exclusive(folder) as lock:
                stages = Stages(folder, lambda text: None, lock)
                if any(entry.get("state") == "running" for entry in stages.status().values()):
                    stages.fail(ended)


def death(state: int) -> BenchError:
    """Return what a user is told of a process that has ended before its command was finished.

    `state` is its exit code, negative for a signal.
    """
    if state >= 0:
        return AdapterError(
            f"code of a model, data set or detector ended the process with exit code {state} before the command was "
            "finished",
            "take os._exit and the like out of it: nothing that was not finished counts",
        )
    name = signal_name(-state)
    if -state == signal.SIGKILL:
        return MachineError(
            "the process of the command was killed (SIGKILL), as the system does when memory is short",
            "run the same command again, with a smaller --search-memory or more memory",
        )
    if -state == getattr(signal, "SIGBUS", 0):
        return MachineError(
            "a file was cut off while it was read, or the disk failed (SIGBUS)",
            "run the same command again: files that have changed are made again or named",
        )
    return AdapterError(
        f"a library, or code of a model, data set or detector, crashed the process ({name})",
        "run it with --verbose, and with PYTHONFAULTHANDLER=1 to see where",
    )


def say(text: str) -> None:
    """Print on standard error, which may be gone with its terminal."""
    with suppress(OSError, ValueError):
        sys.stderr.write(printable(text, keep="\n") + "\n")
        sys.stderr.flush()
