"""Random numbers and batches that depend on counters such as the step, not on what ran before.

A training that resumes at step s so draws what an uninterrupted one would have drawn there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def derive_seed(*counters: int) -> int:
    """Return 32 random bits that are a function of these non-negative counters alone."""
    return int(np.random.SeedSequence(counters).generate_state(1)[0])


def seed_all(*counters: int) -> None:
    """Seed the global generators of torch (every device), numpy and random from counters such as (seed, step, rank)."""
    import torch

    bits = derive_seed(*counters)
    torch.manual_seed(bits)
    np.random.seed(bits)  # noqa: NPY002  libraries that a loss calls draw from the global generator
    random.seed(bits)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Put the global generators of torch (every device), numpy and random back at the end to where they were."""
    import torch

    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def batch_positions(
    seed: int, step: int, *, items: int, batch_size: int, rank: int = 0, world: int = 1
) -> NDArray[np.int64]:
    """Return the items that one process trains on at one step: (batch_size // world,), positions in [0, items).

    The permutations of all epochs, one after the other, form one endless stream, of which step s reads the s-th stretch
    of batch_size. So every item is seen equally often, also where a batch is larger than the data set.
    """
    share = batch_size // world
    first = step * batch_size + rank * share
    stream = np.arange(first, first + share)
    epochs, offsets = stream // items, stream % items
    picked = np.empty(share, dtype=np.int64)
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        here = epochs == epoch
        picked[here] = _permutation(seed, epoch, items)[offsets[here]]
    return picked


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, items: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(items)
