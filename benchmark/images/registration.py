"""Aligns one image to another at full size, to tell whether both show the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.images.resize import resize_smooth

if TYPE_CHECKING:
    from benchmark.core.types import Array

    Levels = tuple[tuple[int, int], ...]

SIDE = {2: 96, 3: 32}
"""Pixels per side, by dimensions, at which the alignment is searched; the similarity is measured at full size."""
STEPS = 60
"""Steps of the optimiser: it ended earlier in nearly all pairs of X-rays that were tried."""
COARSE, FINE = ((4, 2), (2, 1)), ((1, 0),)
"""Resolutions of the search: the factor by which images are reduced, and the width of the smoothing before it."""
LEAST_OVERLAP = 0.5
"""Share of the fixed image that the moved one must cover: over a small overlap anything can be alike."""


@dataclass(frozen=True)
class Aligned:
    """One image moved onto another."""

    image: Array
    """The moved image on the grid of the fixed one, float32; the border is filled with its least value."""
    correlation: float
    """Pearson correlation with the fixed image where both are, -1 to 1."""
    covered: Array
    """Where both are, bool on the grid of the fixed image."""


@dataclass(frozen=True)
class Placement:
    """How one image is moved onto another, whatever their sizes: mirrored, then moved in the unit square or cube."""

    flips: tuple[bool, ...]
    """Whether each axis is mirrored."""
    affine: tuple[float, ...]
    """Parameters of SimpleITK's affine transform about the centre: d x d numbers of the matrix, then d of the shift;
    empty: not moved."""


def align(fixed: Array, moving: Array) -> Aligned:
    """Move an image onto another by the affine transform, flips included, with the greatest correlation found.

    Args:
        fixed: (rows, columns) or (x, y, z), any real type.
        moving: as many axes, any size: both are taken to span the same field of view.
    """
    return move(fixed, moving, find_placement(fixed, moving))


def find_placement(fixed: Array, moving: Array) -> Placement:
    """Search how to move an image onto another; arguments as of `align`.

    The optimiser (SimpleITK, correlation metric, gradient descent, three resolutions) starts from every flip and may
    end at a local optimum: the correlation is a lower bound of what the best alignment would give.
    """
    small_fixed, small_moving = _small(fixed), _small(moving)
    starts = product((False, True), repeat=fixed.ndim)
    ranked = sorted(starts, key=lambda flips: -_correlation(small_fixed, _flipped(small_moving, flips)))
    # The two coarse resolutions tell which flip is right at a third of the price; only that one is searched further.
    coarse = [_searched(small_fixed, small_moving, Placement(flips, ()), COARSE) for flips in ranked[:2]]
    best = max(coarse, key=lambda one: move(small_fixed, small_moving, one).correlation)
    return _searched(small_fixed, small_moving, best, FINE)


def move(fixed: Array, moving: Array, placement: Placement) -> Aligned:
    """Move an image onto another as was found, at the size of the fixed one; arguments as of `align`.

    Where less than LEAST_OVERLAP of the fixed image is covered, the correlation is -1.
    """
    import SimpleITK

    flipped = _flipped(moving, placement.flips)
    target, source, transform = _itk(fixed), _itk(flipped), _transform(placement, fixed.ndim)
    moved, inside = (
        SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, target, transform, SimpleITK.sitkLinear, fill))
        for image, fill in ((source, float(moving.min())), (source * 0 + 1, 0.0))
    )
    covered = inside > 0.99
    if covered.mean() < LEAST_OVERLAP:
        return Aligned(moved, -1.0, covered)
    return Aligned(moved, _correlation(fixed[covered], moved[covered]), covered)


def _flipped(image: Array, flips: tuple[bool, ...]) -> Array:
    return np.flip(image, tuple(axis for axis, flip in enumerate(flips) if flip))


def _small(image: Array) -> Array:
    """Return an image with at most SIDE pixels per side, float32."""
    side = SIDE[image.ndim]
    if image.ndim == 2:
        return resize_smooth(image.astype(np.float32), side)
    from scipy.ndimage import zoom

    resized: Array = zoom(image.astype(np.float32), [side / size for size in image.shape], order=1)
    return resized


def _searched(fixed: Array, moving: Array, start: Placement, levels: Levels) -> Placement:
    """Improve a placement of two small images, at so many resolutions."""
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    # Images of SIDE pixels are too small to share among threads, and sums over threads depend on how many there are.
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.05, minStep=1e-4, numberOfIterations=STEPS, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    transform = _transform(start, fixed.ndim)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_itk(fixed), _itk(_flipped(moving, start.flips)))
    except RuntimeError:  # the images left each other during the search: the start is then the best that is known
        transform = _transform(start, fixed.ndim)
    return Placement(start.flips, transform.GetParameters())


def _transform(placement: Placement, dimensions: int) -> Any:
    import SimpleITK

    transform = SimpleITK.AffineTransform(dimensions)
    transform.SetCenter([0.5] * dimensions)
    if placement.affine:
        transform.SetParameters(placement.affine)
    return transform


def _itk(image: Array) -> Any:
    """Return an image whose grid spans 0 to 1 along each axis, whatever its size."""
    import SimpleITK

    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(image, dtype=np.float32))
    made.SetSpacing([1 / size for size in image.shape[::-1]])
    made.SetOrigin([0.5 / size for size in image.shape[::-1]])
    return made


def _correlation(first: Array, second: Array) -> float:
    """Return Pearson's correlation of two arrays of one shape; 0 where one of them is constant."""
    one, two = (values.astype(np.float64).ravel() for values in (first, second))
    one, two = one - one.mean(), two - two.mean()
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale > 0 else 0.0
