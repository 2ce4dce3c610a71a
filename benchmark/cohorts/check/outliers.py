"""One pass over all stored pixels: grey levels, and items that are constant, empty, unusual or damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import chunks

if TYPE_CHECKING:
    from benchmark.cohorts.store import Stored
    from benchmark.core.types import Array

AT_ONCE = 64
"""Items in memory at once."""
EMPTY = 0.01
"""An item is empty where a smaller share of its pixels differs from its darkest one."""
FAR = 6.0
"""Robust standard deviations of an item's mean grey level from the cohort's median."""
MAD = 1.4826
"""A normal law's standard deviation, in median absolute deviations."""


@dataclass(frozen=True)
class Intensity:
    """The stored values of one channel: grey levels 0 to 255, or -1 to 1."""

    channel: str
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True)
class Oddities:
    """What all pixels say; items by name."""

    intensity: tuple[Intensity, ...]
    constant: tuple[str, ...]
    """Items with one value in every channel."""
    empty: tuple[str, ...]
    """Nearly all of one value, the darkest, in every channel; constant ones not repeated."""
    outliers: tuple[str, ...]
    """Whose mean grey level is far from that of the others, in any channel."""


def scan(stored: Stored) -> Oddities:
    """Read every stored pixel once, in blocks."""
    blocks = [_measure(stored, part) for part in chunks(len(stored.pixels), AT_ONCE)]
    low, high, mean, filled = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    names = stored.table["item"].to_numpy()
    constant = (low == high).all(axis=1)
    return Oddities(
        intensity=tuple(
            Intensity(channel, float(low[:, at].min()), float(mean[:, at].mean()), float(high[:, at].max()))
            for at, channel in enumerate(stored.channels)
        ),
        constant=tuple(names[constant]),
        empty=tuple(names[(filled < EMPTY).all(axis=1) & ~constant]),
        outliers=tuple(names[far_off(mean)]),
    )


def far_off(means: Array) -> Array:
    """Return which rows of (M, C) are more than FAR robust deviations from the median in any column, (M,) bool."""
    distance = np.abs(means - np.median(means, axis=0))
    spread = MAD * np.median(distance, axis=0)
    far: Array = (distance > FAR * np.maximum(spread, 1e-9)).any(axis=1) & (spread > 0).any()
    return far


def _measure(stored: Stored, part: slice) -> tuple[Array, ...]:
    """Return least, greatest and mean value and filled share, each (n, C)."""
    items = stored.pixels[part]
    flat = items.reshape(len(items), items.shape[1], -1)
    low = flat.min(axis=2)
    filled = (flat > low[..., None]).mean(axis=2)
    return low, flat.max(axis=2), flat.mean(axis=2, dtype=np.float64), filled
