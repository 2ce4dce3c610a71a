"""Detector `pixels`: Pearson correlation over all pixels and channels, the measure of Akbar et al. (2305.07644)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.types import chunks, to_pixels
from benchmark.detectors.query_transforms import views_of
from benchmark.search import LEVELS, PEARSON

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images, Similarity, Split

BACKGROUND = -0.96
"""Values up to this one, the lowest 2 % of the range [-1, 1], are background."""
AT_ONCE = 256
ROUNDING = 1e-6
"""Images whose pixels vary less than this, of a range of 2, vary by float32 rounding only: they count as constant."""


@dataclass(frozen=True)
class Options:
    """The options of `pixels`; the defaults are protocol p2 and the measure as published."""

    channels: tuple[str, ...] = ()
    """Compare only these channels; all channels if empty."""
    foreground: bool = False
    """Ignore background pixels: each is set to the item's mean over the foreground."""
    residual: bool = False
    """Subtract the mean image first, so that anatomy common to all patients does not count."""
    transforms: tuple[str, ...] = ()
    """Transform queries, too, and take the best similarity: flips, rotations, shifts, scales."""

    def __post_init__(self) -> None:
        views_of(self.transforms)

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Pixels:
        """Return the detector; the mean image is that of training and held-out items together.

        A mean over training items only would make residuals of training items smaller than those of held-out items.
        """
        return Pixels(
            channels=self._positions(real.channels),
            foreground=self.foreground,
            mean=mean_image(real) if self.residual else None,
            levels=real.pixels.dtype == np.uint8 and not (self.foreground or self.residual),
            views=views_of(self.transforms, len(real.shape) - 1),
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
    """Pearson correlation of two items; of grey levels it is exact, from integer sums."""

    channels: tuple[int, ...] = ()
    foreground: bool = False
    mean: Array | None = None
    levels: bool = False
    """Rows are uint8 grey levels."""
    views: Sequence[Callable[[Images], Images]] = ()
    invariances: tuple[str, ...] = ("exact", "contrast", "noise", "recode")

    @property
    def similarity(self) -> Similarity:
        """Compares rows; a row of zero variance has correlation 0 with every other."""
        return LEVELS if self.levels else PEARSON

    @property
    def reads_pixels(self) -> bool:
        """Whether rows are all stored pixels of an item."""
        return self.levels and not self.channels

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to rows (N, C * pixels): grey levels, or float32 less the mean image and background."""
        if self.channels:
            images = images[:, self.channels]
        if self.levels:
            return to_pixels(images, "uint8").reshape(len(images), -1)
        mean = self.mean[list(self.channels)] if self.mean is not None and self.channels else self.mean
        values = images if mean is None else images - mean
        rows = values.reshape(len(images), -1)
        if self.foreground:
            rows = _centred(rows, (images > BACKGROUND).reshape(len(images), -1))
        constant = rows.std(axis=1, dtype=np.float64) < ROUNDING
        return np.where(constant[:, None], 0, rows).astype(np.float32)


def _centred(rows: Array, shown: Array) -> Array:
    """Subtract from each row (N, pixels) its mean over the pixels in the mask `shown`, and set the others to zero."""
    means = (rows * shown).sum(axis=1, keepdims=True, dtype=np.float64) / np.maximum(1, shown.sum(1, keepdims=True))
    centred: Array = np.where(shown, rows - means, 0.0)
    return centred
