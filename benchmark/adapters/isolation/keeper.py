"""The parent of a model's process: nothing that the model starts outlives it, whatever session it is in.

It is started as `python -m benchmark.adapters.isolation.keeper` by `process.py`, and starts `worker.py` as a fork. On
Linux a process whose parent has ended is given to its nearest ancestor that asked for it (PR_SET_CHILD_SUBREAPER, see
`man 2 prctl`): to the keeper. All that a model has started is therefore below the keeper, and is found by the numbers
of parents in /proc. Elsewhere there is no keeper, and a process that leaves the session stays.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress

from benchmark.core.descendants import adopt_orphans, end_descendants

LOOK_SECONDS = 0.5
STOPPING = (signal.SIGTERM,)


def main(channel: int, crashes: int, evaluator: int) -> None:
    """Serve the evaluator as `worker.main` does, in a fork of this process, which then ends as the fork ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is inherited as ignored, no exit code is kept
    if adopt_orphans():
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that comes now waits until both can take it
        keeper = os.getpid()
        fork = os.fork()
        if fork:
            _keep(fork, evaluator, (channel, crashes))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        evaluator = keeper
    from benchmark.adapters.isolation import worker  # the keeper itself needs none of its packages

    worker.main(channel, crashes, evaluator)


def _keep(fork: int, evaluator: int, files: tuple[int, ...]) -> None:
    """Wait for the fork, end what it has left, and end as it did. Never returns."""
    for file in files:
        os.close(file)  # the evaluator sees the connection end with the fork
    signal.signal(signal.SIGTERM, lambda number, frame: _pass_on(fork, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=_end_with, args=(evaluator,), daemon=True).start()
    code = _ended(fork)
    end_descendants(os.getpid())
    _take_off_the_list()
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the fork has written its core file
        with suppress(OSError):  # SIGKILL always does what it does
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _pass_on(fork: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(fork, number)


def _ended(fork: int) -> int:
    """Return the exit code of the fork, negative for a signal; orphans that end before it are taken off the list."""
    while True:
        number, status = os.wait()
        if number == fork:
            return os.waitstatus_to_exitcode(status)


def _take_off_the_list() -> None:
    """Take those that were ended off the system's list of processes: in a container, nobody else may do that."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_with(evaluator: int) -> None:
    """End everything here within a second of the evaluator, even if that was killed."""
    while os.getppid() == evaluator:
        time.sleep(LOOK_SECONDS)
    end_descendants(os.getpid())
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
