"""Aligns one image to another at full size, to tell whether both show the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.images.resize import resize_smooth

if TYPE_CHECKING:
    from benchmark.core.types import Array

SIDE = {2: 96, 3: 32}
"""Pixels per side, by dimensions, at which the alignment is searched; the similarity is measured at full size."""
STEPS = 60
"""Steps of the optimiser: it ended earlier in nearly all pairs of X-rays that were tried."""
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


def align(fixed: Array, moving: Array) -> Aligned:
    """Move an image onto another by the affine transform, flips included, with the greatest correlation found.

    Args:
        fixed: (rows, columns) or (x, y, z), any real type.
        moving: as many axes, any size: both are taken to span the same field of view.

    The optimiser (SimpleITK, correlation metric, gradient descent, three resolutions) starts from every flip and may
    end at a local optimum: the correlation is a lower bound of what the best alignment would give.
    """
    small_fixed, small_moving = _small(fixed), _small(moving)
    starts = product((False, True), repeat=fixed.ndim)
    ranked = sorted(starts, key=lambda flips: -_correlation(small_fixed, _flipped(small_moving, flips)))
    return max((_registered(fixed, _flipped(moving, flips)) for flips in ranked[:2]), key=lambda one: one.correlation)


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


def _registered(fixed: Array, moving: Array) -> Aligned:
    import SimpleITK

    target, source = _itk(fixed), _itk(moving)
    transform = _search(_itk(_small(fixed)), _itk(_small(moving)), fixed.ndim)
    least = float(moving.min())
    moved, inside = (
        SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, target, transform, SimpleITK.sitkLinear, fill))
        for image, fill in ((source, least), (source * 0 + 1, 0.0))
    )
    covered = inside > 0.99
    if covered.mean() < LEAST_OVERLAP:
        return Aligned(moved, -1.0, covered)
    return Aligned(moved, _correlation(fixed[covered], moved[covered]), covered)


def _search(fixed: Any, moving: Any, dimensions: int) -> Any:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.05, minStep=1e-4, numberOfIterations=STEPS, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    start = SimpleITK.AffineTransform(dimensions)
    start.SetCenter([0.5] * dimensions)
    method.SetInitialTransform(start, inPlace=False)
    try:
        return method.Execute(fixed, moving)
    except RuntimeError:  # the images left each other during the search: the start is then the best that is known
        return start


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
