"""Tools of the conformance suite: toy cohorts, interrupted trainings, a blocked network and silenced warnings."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from benchmark.core.types import Split

TRAIN, HELD_OUT = 10, 6
SIDE = 16
"""Pixels per side: four halvings, enough for the toy settings of every model."""


class InterruptedTraining(BaseException):
    """Interrupts a training. A BaseException, as KeyboardInterrupt: an adapter's `except Exception` cannot catch it."""


@dataclass
class Steps:
    """Number of optimiser steps taken."""

    count: int = 0


def toy_split(channels: int, dims: int, *, items: int = TRAIN, held_out: int = 0) -> Split:
    """Return smooth training items (items, channels, 16, 16[, 16]) of a cohort that also has held-out items.

    The seed `held_out` changes the held-out items only.
    """
    shape = (channels, *(SIDE,) * dims)
    pixels = np.concatenate([_smooth(0, TRAIN, shape), _smooth(1 + held_out, HELD_OUT, shape)])
    names = tuple(f"toy-{number}" for number in range(items))
    return Split(
        name="train",
        pixels=pixels,
        rows=np.arange(items),
        subjects=names,
        items=names,
        channels=tuple(f"c{channel}" for channel in range(channels)),
        captions=tuple(f"a toy image, number {number % 4}" for number in range(items)),
    )


def _smooth(seed: int, count: int, shape: tuple[int, ...]) -> Any:
    """Return items (count, C, *spatial), uint8, each a different sum of a few cosines."""
    rng = np.random.default_rng([seed, *shape])
    axes = np.meshgrid(*[np.linspace(0, np.pi, side) for side in shape[1:]], indexing="ij")
    waves = np.stack([np.cos(number * axis) for number in (1, 2, 3) for axis in axes])
    weights = rng.normal(size=(count, shape[0], len(waves))) / np.sqrt(len(waves))
    return np.clip(127.5 + 60 * np.tensordot(weights, waves, axes=1), 0, 255).astype(np.uint8)


@contextmanager
def counted_steps(*, cut_after: int = 0) -> Iterator[Steps]:
    """Count the steps of all torch optimisers here; raise InterruptedTraining after `cut_after` of them (0: never)."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    steps = Steps()

    def count(*_: object) -> None:
        steps.count += 1
        if steps.count == cut_after:
            raise InterruptedTraining

    handle = register_optimizer_step_post_hook(count)
    try:
        yield steps
    finally:
        handle.remove()


@contextmanager
def checkpoint_steps(interval: int) -> Iterator[None]:
    """Make `benchmark.training.loop.train` save its state every so many steps, here and in child processes."""
    os.environ["BENCH_CHECKPOINT_STEPS"] = str(interval)
    try:
        yield
    finally:
        del os.environ["BENCH_CHECKPOINT_STEPS"]


@contextmanager
def no_warnings_of_training() -> Iterator[None]:
    """The check of the budget stops a training early on purpose: its warning would alarm for nothing."""
    logger = logging.getLogger("benchmark.training.loop")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def no_network(refused: Callable[[str], Exception]) -> Iterator[None]:
    """Block connections to other machines: raise the exception that `refused` returns for their address."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX or str(address[0]) in ("127.0.0.1", "::1", "localhost"):
            connect(self, address)
        else:
            fail(str(address[0]))

    def lookup(host: Any, *_: object, **__: object) -> NoReturn:
        fail(str(host))

    def fail(host: str) -> NoReturn:
        raise refused(host)

    getaddrinfo = socket.getaddrinfo
    socket.socket.connect = local_only  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = lookup
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.getaddrinfo = getaddrinfo
