"""Worker processes that end with the process that started them."""

from __future__ import annotations

import multiprocessing.context
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.resource_tracker import ensure_running
from typing import Any, TypeVar

from benchmark.core.progress import progress

T = TypeVar("T")


class _Quiet(multiprocessing.context.SpawnProcess):
    """A process that no Ctrl-C reaches, which a terminal sends to all processes: its parent ends it."""

    def start(self) -> None:
        """Start the process, which inherits that the signal waits for ever."""
        ensure_running()  # it would let the signal through again, before the first process has begun
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class QuietContext(multiprocessing.context.SpawnContext):
    """New interpreters whose imports no Ctrl-C breaks off with a stack trace."""

    Process = _Quiet


def processes(count: int) -> ProcessPoolExecutor:
    """Return a pool of new processes; each ends within a second of its parent, even if that was killed."""
    return ProcessPoolExecutor(count, mp_context=QuietContext(), initializer=end_with_parent, initargs=(os.getpid(),))


def run_in_processes(
    work: Callable[..., T], calls: Sequence[tuple[Any, ...]], *, label: str, total: int = 0, done: int = 0
) -> list[T]:
    """Return the results of work(*call) for each call, in their order, computed by one process per core.

    `work` is importable in another process. Progress starts at `done` of `total`. After an error, or Ctrl-C, calls that
    have not begun are left out, and the error is raised.
    """
    with (
        processes(min(os.cpu_count() or 1, len(calls))) as pool,
        progress(label, total or len(calls), done) as advance,
    ):
        jobs = [pool.submit(work, *call) for call in calls]
        try:
            for job in as_completed(jobs):
                job.result()
                advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [job.result() for job in jobs]


def end_with_parent(parent: int) -> None:
    """Let this process end within a second of the process `parent`, which has started it."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
