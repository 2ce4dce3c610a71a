"""Detector `pixels`: Pearson correlation over all pixels and channels, the measure of Akbar et al. (2305.07644)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import chunks
from benchmark.errors import UsageError
from benchmark.search import COSINE

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images, Similarity, Split

BACKGROUND = -0.96
"""Grey levels up to here, 2 % of the range, are background."""
AT_ONCE = 256


@dataclass(frozen=True)
class Options:
    """The options of `pixels`; the defaults are protocol p1 and the measure as published."""

    channels: tuple[str, ...] = ()
    """Only these channels; all, where none is given."""
    foreground: bool = False
    """Let background pixels count for nothing: each takes its item's mean over the foreground."""
    residual: bool = False
    """Subtract the mean image first, so that anatomy which all share does not count."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Pixels:
        """Return the detector; the mean image is over training and held-out items alike (design 6.5)."""
        return Pixels(
            channels=self._positions(real.channels),
            foreground=self.foreground,
            mean=mean_image(real) if self.residual else None,
        )

    def _positions(self, names: tuple[str, ...]) -> tuple[int, ...]:
        unknown = [name for name in self.channels if name not in names]
        if unknown:
            raise UsageError(f"there is no channel {unknown[0]!r} to correlate", f"choose from {', '.join(names)}")
        return tuple(names.index(name) for name in self.channels)


def mean_image(real: Split) -> Array:
    """Return the mean of all items, (C, *spatial), float64, reading a few hundred at a time."""
    total = np.zeros(real.shape)
    for part in chunks(len(real), AT_ONCE):
        total += real.images(part).sum(axis=0, dtype=np.float64)
    return total / len(real)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pearson correlation of two items: the inner product of their centred, normalised pixels."""

    channels: tuple[int, ...] = ()
    foreground: bool = False
    mean: Array | None = None
    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = ("exact", "contrast", "noise", "recode")

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, C * pixels); a constant image becomes a zero row: like nothing."""
        ground = images <= BACKGROUND if self.foreground else None
        values = images.astype(np.float64) if self.mean is None else images - self.mean
        if self.channels:
            values = values[:, self.channels]
            ground = None if ground is None else ground[:, self.channels]
        rows = values.reshape(len(images), -1)
        return _unit(rows, None if ground is None else ~ground.reshape(len(images), -1))


def _unit(rows: Array, shown: Array | None) -> Array:
    """Centre rows over the pixels that are shown, set the others to zero, and divide by the length."""
    if shown is None:
        rows = rows - rows.mean(axis=1, keepdims=True)
    else:
        means = (rows * shown).sum(axis=1, keepdims=True) / np.maximum(1, shown.sum(axis=1, keepdims=True))
        rows = np.where(shown, rows - means, 0.0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    tiny = lengths < 1e-6 * np.sqrt(rows.shape[1])
    return np.where(tiny, 0.0, rows / np.where(tiny, 1.0, lengths)).astype(np.float32)
