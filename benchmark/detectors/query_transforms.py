"""Views of queries: a detector without invariances of its own compares each query flipped, rotated or moved, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.core.types import Images

    View = Callable[[Images], Images]

DEGREES = (-10, -5, 5, 10)
SHARE = 0.05
"""Fraction of a side by which shifts move an image along it."""
SCALES = (0.9, 1.1)
"""A copy of which a tenth was cut off is found by the view at 0.9 of its size."""
NAMES = ("flips", "rotations", "shifts", "scales")


def views_of(names: Sequence[str], dimensions: int = 2) -> tuple[View, ...]:
    """Return the functions that make the views of each name, for images of 2 or 3 dimensions.

    There is a flip for each axis; there are 4 rotations, and 4 shifts along the last two axes; and 2 scales.

    Raises UsageError for another name.
    """
    views: list[View] = []
    for name in names:
        if name not in NAMES:
            raise UsageError(f"there is no transform {name!r} of queries", f"choose from {', '.join(NAMES)}")
        views += _VIEWS[name]
        if name == "flips" and dimensions == 3:  # left and right of a volume in RAS+ are its first axis
            views.append(partial(_flipped, axis=-3))
    return tuple(views)


def _flipped(images: Images, axis: int) -> Images:
    import numpy as np

    return np.ascontiguousarray(np.flip(images, axis))


def _moved(
    images: Images, *, degrees: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0
) -> Images:
    """Rotate (N, C, *spatial) in the plane of the last two axes, shift along them, scale; the border is repeated."""
    import torch

    from benchmark.images.transforms import affine

    given = torch.from_numpy(images)
    moves = given.new_zeros(len(given), given.ndim - 2)
    moves[:, :2] = torch.tensor(shift)
    moved: Tensor = affine(
        given, given.new_full((len(given),), math.radians(degrees)), given.new_full((len(given),), scale), moves
    )
    return moved.numpy()


_VIEWS: dict[str, list[View]] = {
    "flips": [partial(_flipped, axis=-1), partial(_flipped, axis=-2)],
    "rotations": [partial(_moved, degrees=degrees) for degrees in DEGREES],
    "scales": [partial(_moved, scale=scale) for scale in SCALES],
    "shifts": [partial(_moved, shift=move) for move in ((SHARE, 0.0), (-SHARE, 0.0), (0.0, SHARE), (0.0, -SHARE))],
}
