"""A synthetic image against a real one, at full size: aligned, difference, local similarity, joint grey values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.images.registration import Placement, find_placement, move

if TYPE_CHECKING:
    from benchmark.core.types import Array

LARGEST = {2: 512, 3: 96}
"""Pixels per side, by dimensions, above which an image is reduced for the page."""
WINDOW = 1 / 15
"""Side of the window of the local similarity, as a fraction of the image's side; 7 pixels at least."""
FLAT = 1e-3
"""A window whose variance is below this share of the whole image's is flat: a correlation there is of noise."""
GREY_PERCENTILES = (0.5, 99.5)
"""What is drawn black and white in an image without a window of its own."""
DIFFERENCE_WHITE = 0.5
"""The share of the synthetic image's grey range that is drawn white in a difference. One scale for all pairs, so that
pairs can be compared."""
SCATTER_BINS = 64


@dataclass(frozen=True)
class Compared:
    """One synthetic image with its training and its held-out image, all of one shape: 2D or 3D.

    In colour the three images have a last axis of 3 channels, and the two maps are means over the channels.
    """

    synthetic: Array
    training: Array
    """Aligned to the synthetic image."""
    heldout: Array | None
    """Aligned to it in the same way; nothing where there are no held-out images."""
    covered: Array
    """Where the aligned training image has pixels, bool."""
    difference: Array
    """Absolute difference of synthetic and training image, in grey ranges of the synthetic image, 0 or more; NaN where
    the training image has no pixels."""
    local: Array
    """Correlation in a window about each pixel, -1 to 1; NaN where both images are flat, or one has no pixels."""
    size: tuple[int, ...]
    """Shape of the synthetic image before it was reduced."""

    @property
    def reduced(self) -> float:
        """The factor by which the synthetic image was reduced; 1 where it is shown as it is."""
        return max(float(old / new) for old, new in zip(self.size, self.covered.shape, strict=True))


def compare(
    synthetic: Array,
    training: Array,
    heldout: Array | None,
    placements: tuple[Placement | None, Placement | None] = (None, None),
) -> Compared:
    """Align real images to a synthetic one, and show where it differs from the first.

    Args:
        synthetic: (rows, columns) or (x, y, z), any real type.
        training: as many axes, any size.
        heldout: as many axes, any size.
        placements: how training and held-out image are moved, where that is known; else it is searched.
    """
    fixed = fit(synthetic, LARGEST[synthetic.ndim])
    moved, covered = _aligned(fixed, training, placements[0])
    return Compared(
        synthetic=fixed,
        training=moved,
        heldout=None if heldout is None else _aligned(fixed, heldout, placements[1])[0],
        covered=covered,
        difference=difference(fixed, moved, covered),
        local=np.where(covered, local_similarity(fixed, moved), np.nan),
        size=synthetic.shape,
    )


def in_colour(channels: Sequence[Compared]) -> Compared:
    """Join three channels of one suspect into one comparison in colour."""
    first = channels[0]
    heldout = [one.heldout for one in channels if one.heldout is not None]
    # A channel that is flat somewhere has no correlation there: its weight is 0, not the result NaN.
    known = [~np.isnan(one.local) for one in channels]
    count = np.sum(known, axis=0)
    summed = np.sum([np.nan_to_num(one.local) for one in channels], axis=0)
    return Compared(
        synthetic=np.stack([one.synthetic for one in channels], axis=-1),
        training=np.stack([one.training for one in channels], axis=-1),
        heldout=np.stack(heldout, axis=-1) if heldout else None,
        covered=first.covered,
        difference=np.mean([one.difference for one in channels], axis=0),
        local=np.where(count > 0, summed / np.maximum(count, 1), np.nan),
        size=first.size,
    )


def _aligned(fixed: Array, image: Array, placement: Placement | None) -> tuple[Array, Array]:
    """Return an image on the fixed one's grid, in the levels that it was stored in, and where it has pixels."""
    moving = fit(image, LARGEST[image.ndim])
    aligned = move(fixed, moving, placement or find_placement(fixed, moving))
    as_stored = aligned.image.round().clip(0, 255).astype(np.uint8) if moving.dtype == np.uint8 else aligned.image
    return as_stored, aligned.covered


def fit(image: Array, side: int) -> Array:
    """Reduce an image to at most `side` pixels per axis; smaller ones stay.

    Of a plane the proportions are kept. Of a volume each axis is reduced alone, so that none of few slices is lost; the
    spacing then differs between axes.
    """
    shape = _fitting(image.shape, side)
    if shape == image.shape:
        return image
    from scipy.ndimage import gaussian_filter, zoom

    # Means of blocks are fast, but let fine patterns through: a factor of 2 or more is left to the smoothing.
    small = _block_means(image, [old // (2 * new) for old, new in zip(image.shape, shape, strict=True)])
    factors = [new / old for old, new in zip(small.shape, shape, strict=True)]
    # Detail finer than the new pixels would come back as false patterns: half of the factor removes it.
    smooth = gaussian_filter(small, [0.5 / factor if factor < 1 else 0 for factor in factors])
    # On the grid of areas, not of centres: both images then span the same field of view.
    reduced: Array = zoom(smooth, factors, order=1, mode="nearest", grid_mode=True)
    return reduced if image.dtype != np.uint8 else reduced.round().clip(0, 255).astype(np.uint8)


def _fitting(shape: tuple[int, ...], side: int) -> tuple[int, ...]:
    if len(shape) == 3:
        return tuple(min(size, side) for size in shape)
    factor = min(1.0, side / max(shape))
    return tuple(max(1, round(size * factor)) for size in shape)


def _block_means(image: Array, sizes: Sequence[int]) -> Array:
    """Return the mean of each block of so many pixels per axis, float32.

    An incomplete last block is dropped, which is less than half a pixel of the reduced image.
    """
    for axis, size in enumerate(sizes):
        if size > 1:
            count = image.shape[axis] // size
            whole = np.moveaxis(image, axis, 0)[: count * size]
            means = whole.reshape(count, size, *whole.shape[1:]).mean(axis=1, dtype=np.float32)
            image = np.moveaxis(means, 0, axis)
    return image.astype(np.float32)


def difference(fixed: Array, moved: Array, covered: Array) -> Array:
    """Return the absolute difference in grey ranges of `fixed`; NaN where `moved` has no pixels.

    Brightness and contrast of `moved` are first matched to `fixed` by a straight line (least squares): a copy in
    another contrast is still a copy.
    """
    if not covered.any():
        return np.full(fixed.shape, np.nan)
    one, other = fixed.astype(np.float64), moved.astype(np.float64)
    one, other = one - one[covered].mean(), other - other[covered].mean()
    variance = float(np.mean(other[covered] ** 2))
    slope = float(np.mean(one[covered] * other[covered])) / variance if variance > 0 else 0.0
    low, high = grey_range(fixed)
    # A negative slope would show the negative of an image as its copy.
    return np.where(covered, np.abs(one - max(slope, 0.0) * other) / (high - low), np.nan)


def local_similarity(first: Array, second: Array) -> Array:
    """Return Pearson's correlation in a window about each pixel; NaN where the window is flat in both images."""
    from scipy.ndimage import uniform_filter

    one, other = (image.astype(np.float64) - float(image.mean()) for image in (first, second))
    sizes = [max(7, round(length * WINDOW)) for length in first.shape]

    def mean(values: Array) -> Array:
        smooth: Array = uniform_filter(values, sizes, mode="nearest")
        return smooth

    mean_one, mean_other = mean(one), mean(other)
    covariance = mean(one * other) - mean_one * mean_other
    variances = mean(one**2) - mean_one**2, mean(other**2) - mean_other**2
    floors = [FLAT * float(image.var()) for image in (one, other)]
    flat = (variances[0] <= floors[0]) & (variances[1] <= floors[1])
    # The floor also bounds the quotient where only one window is flat: the correlation is then near 0.
    scale = np.sqrt(np.maximum(variances[0], floors[0]) * np.maximum(variances[1], floors[1]))
    similar = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    return np.where(flat, np.nan, similar.clip(-1, 1))


def grey_range(image: Array) -> tuple[float, float]:
    """Return the two percentiles that are drawn black and white."""
    low, high = (float(value) for value in np.percentile(image, GREY_PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def stored_grey(images: Sequence[Array]) -> bool:
    """Tell whether planes have 256 levels, and so have black and white already: they are drawn as stored.

    Not for volumes: those of 8 bits often use only a part of the levels, and stand next to volumes of other types.
    """
    return all(image.dtype == np.uint8 for image in images)


def to_grey(image: Array, limits: tuple[float, float] | None = None) -> Array:
    """Return an image in 256 grey levels between its limits, uint8."""
    low, high = limits or grey_range(image)
    grey: Array = ((image.astype(np.float32) - low) / (high - low) * 255).round().clip(0, 255).astype(np.uint8)
    return grey


def scatter(fixed: Array, moved: Array, covered: Array) -> Array:
    """Return how often each pair of grey values occurs, uint8 (bins, bins): dark where often.

    The first row is the brightest of `fixed`, the first column the darkest of `moved`.
    """
    one, other = to_grey(fixed)[covered], to_grey(moved)[covered]
    counts, _, _ = np.histogram2d(one, other, bins=SCATTER_BINS, range=((0, 256), (0, 256)))
    # Counts span several powers of ten: background alone can be half of an image.
    strength = np.log1p(counts) / max(1.0, float(np.log1p(counts.max())))
    return (255 * (1 - strength[::-1])).round().astype(np.uint8)
