"""The same work on many values by forks of this process: they have what is in its memory, so that nothing is sent."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

LEAST = 16
"""Values from which on a fork is worth its milliseconds."""


def each(work: Callable[[T], R], values: Sequence[T]) -> list[R]:
    """Return work(value) of each value, in their order, computed by one process per core.

    Results are pickled: let them be small. What a fork could not compute, because it was ended or because of an error,
    is computed again by this process, which raises the error. Linux only: elsewhere this process does all.
    """
    count = min(len(os.sched_getaffinity(0)), len(values) // LEAST) if sys.platform == "linux" else 1
    parts = [values[number::count] for number in range(max(count, 1))] if count > 1 else [values]
    forks = [_fork(work, part) for part in parts[1:]]
    try:
        results = [[work(value) for value in parts[0]]]
        for fork, part in zip(forks, parts[1:], strict=True):
            results.append(_answer(fork) or [work(value) for value in part])
    finally:
        for process, file in forks:
            _end(process, file)
    return [results[number % len(parts)][number // len(parts)] for number in range(len(values))]


def _fork(work: Callable[[T], R], values: Sequence[T]) -> tuple[int, int]:
    """Start a fork; return its number, and a file descriptor that its results can be read from."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 1
    try:
        os.close(reading)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent ends it
        with os.fdopen(writing, "wb") as file:
            pickle.dump([work(value) for value in values], file)
        code = 0
    finally:  # nothing of this process may run on here: neither its clean-up nor what it has not yet printed
        os._exit(code)


def _answer(fork: tuple[int, int]) -> list[Any]:
    """Return what a fork has computed; nothing where it has not come to its end."""
    with os.fdopen(os.dup(fork[1]), "rb") as file:
        content = file.read()
    try:
        answer: list[Any] = pickle.loads(content)  # noqa: S301  # of this very program
    except (pickle.UnpicklingError, EOFError):
        return []
    return answer


def _end(process: int, file: int) -> None:
    os.close(file)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
