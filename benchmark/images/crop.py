"""Slices, tiles, volumes and patches of a volume in RAS+, shown as radiologists see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
import PIL.Image

from benchmark.images.resize import crop_to, pad_to

if TYPE_CHECKING:
    from benchmark.core.types import Array

Axis = Literal["axial", "coronal", "sagittal"]
ORDER = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""Which of x, y, z (0, 1, 2) is the axis of slices, of rows and of columns."""
BORDER = 0.02
"""Share of the range that background may reach: JPEG and interpolation leave traces around what was padded."""
LETTER = {"axial": "z", "coronal": "y", "sagittal": "x"}


def planes(volume: Array, axis: Axis) -> Array:
    """View a volume (x, y, z) as (slices, rows, columns).

    Axial and coronal columns run from the patient's right to left, sagittal ones from front to back; axial rows from
    front to back, the others from head to feet; slices to the head, the front, the right.
    """
    return np.flip(volume.transpose(ORDER[axis]), (1, 2))


def resample(volume: Array, shape: Sequence[int]) -> Array:
    """Resize an array (a, b, c) to `shape` linearly, averaging where it shrinks, float32."""
    if volume.shape == tuple(shape):
        return volume.astype(np.float32)
    # Interpolation is separable. Planes across the axis of the greatest stride are contiguous in memory: they are
    # resized first, then that axis.
    slow = int(np.argmax(np.abs(volume.strides)))
    reordered, wanted = np.moveaxis(volume, slow, 0), np.array(shape)
    rows, columns = np.delete(wanted, slow)
    small = np.stack([_resize(plane, (rows, columns)) for plane in reordered])
    flat = _resize(small.reshape(len(small), -1), (shape[slow], rows * columns))
    return np.moveaxis(flat.reshape(shape[slow], rows, columns), 0, slow)


def _resize(plane: Array, shape: Sequence[int]) -> Array:
    """Resize a plane (h, w) to `shape`; Pillow widens the kernel where it shrinks, which averages."""
    if plane.shape == tuple(shape):
        return plane.astype(np.float32)
    image = PIL.Image.fromarray(plane.astype(np.float32, order="C"))
    return np.asarray(image.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR))


def centred(array: Array, shape: tuple[int, ...], fill: float) -> Array:
    """Pad the last axes of (..., *spatial) with a value, and crop them around their centre, to exactly `shape`."""
    return crop_to(pad_to(array, shape, fill), shape)


def without_border(array: Array) -> Array:
    """Cut off the border of an array (*spatial) in which no value is above its least one by BORDER of its range."""
    low, high = float(array.min()), float(array.max())
    inside = array > low + BORDER * (high - low)
    window = []
    for axis in range(array.ndim):
        filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(array.ndim) if other != axis)))
        window.append(slice(filled[0], filled[-1] + 1) if len(filled) else slice(None))
    part: Array = array[tuple(window)]
    return part


def corners(shape: Sequence[int], size: int, stride: int) -> Iterator[tuple[int, ...]]:
    """Yield the first corners of the cubes of `size` that are wholly inside `shape`, every `stride`."""
    yield from product(*(range(0, extent - size + 1, stride) for extent in shape))


def seen_at(point: Array, shape: Sequence[int], axis: Axis) -> Array:
    """Return the slice, row and column (3,) of `planes` that show a point (x, y, z) of a volume of this shape."""
    order = list(ORDER[axis])
    place = np.asarray(point)[order]
    extents = np.asarray(shape)[order]
    place[1:] = extents[1:] - 1 - place[1:]
    return place


def around(array: Array, centre: Sequence[float], size: int, fill: float) -> Array:
    """Return the square or cube of `size` around a point of an array (*spatial); outside the array it is `fill`."""
    first = [round(place - (size - 1) / 2) for place in centre]
    cube = np.full((size,) * array.ndim, fill, array.dtype)
    inside = [(max(0, start), min(extent, start + size)) for start, extent in zip(first, array.shape, strict=True)]
    if all(start < end for start, end in inside):
        there = tuple(slice(start - at, end - at) for (start, end), at in zip(inside, first, strict=True))
        cube[there] = array[tuple(slice(start, end) for start, end in inside)]
    return cube


def from_planes(stack: Array, axis: Axis) -> Array:
    """Return the volume (x, y, z) whose `planes` along an axis are `stack` (slices, rows, columns)."""
    return np.flip(stack, (1, 2)).transpose(np.argsort(ORDER[axis]))
