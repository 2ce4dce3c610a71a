"""Resizing images to a common grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from benchmark.core.types import Array


def pad_to(array: Array, shape: tuple[int, ...], fill: float = 0) -> Array:
    """Pad the last len(shape) axes of (..., *spatial) to at least `shape`, centred; odd pixels go to the end."""
    missing = [max(0, want - have) for want, have in zip(shape, array.shape[-len(shape) :], strict=True)]
    widths = [(0, 0)] * (array.ndim - len(shape)) + [(left // 2, left - left // 2) for left in missing]
    return np.pad(array, widths, constant_values=fill)


def crop_to(array: Array, shape: tuple[int, ...]) -> Array:
    """Crop the last len(shape) axes of (..., *spatial) to at most `shape`, around the centre."""
    extents = array.shape[-len(shape) :]
    starts = [max(0, (have - want) // 2) for want, have in zip(shape, extents, strict=True)]
    windows = [slice(start, start + want) for start, want in zip(starts, shape, strict=True)]
    window: tuple[Any, ...] = (..., *windows)
    part: Array = array[window]
    return part


def shrink(planes: Array, side: int) -> Array:
    """Average uint8 planes (n, h, w) over areas to (n, side, side), rounded to the nearest grey level."""
    if planes.shape[1:] == (side, side):
        return planes
    small = np.empty((len(planes), side, side), np.uint8)
    for place, plane in enumerate(planes):
        small[place] = to_uint8(_resize(plane.astype(np.float32), side, PIL.Image.Resampling.BOX))
    return small


def shrink_labels(planes: Array, side: int) -> Array:
    """Pick from planes (n, h, w) the pixel at each centre of (n, side, side): no label is invented."""
    if planes.shape[1:] == (side, side):
        return planes
    small = np.empty((len(planes), side, side), planes.dtype)
    for place, plane in enumerate(planes):
        small[place] = _resize(plane, side, PIL.Image.Resampling.NEAREST)
    return small


def resize_smooth(plane: Array, side: int) -> Array:
    """Resize one plane (h, w) to a square, Lanczos with antialiasing, float32; aspect is not kept."""
    if plane.shape == (side, side):
        return plane.astype(np.float32)
    return _resize(plane.astype(np.float32), side, PIL.Image.Resampling.LANCZOS)


def block_mean(volume: Array, factors: tuple[int, ...]) -> Array:
    """Average a volume (x, y, z) over blocks of `factors` voxels, float32; an incomplete last block is dropped."""
    x, y, z = (size // factor for size, factor in zip(volume.shape, factors, strict=True))
    a, b, c = factors
    whole = volume[: x * a, : y * b, : z * c].astype(np.float32)
    means: Array = whole.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    return means


def to_uint8(levels: Array) -> Array:
    """Round grey levels of any shape to the nearest, halves up, and clip to 0 ... 255 (as MATLAB's `uint8` does).

    NumPy's `rint` rounds halves to even: of the means of two pixels, half would go down and half up.
    """
    within = np.clip(levels, 0, 255)
    within += within.dtype.type(0.5)
    return within.astype(np.uint8)


def _resize(plane: Array, side: int, filter_: PIL.Image.Resampling) -> Array:
    """Resize one plane (h, w) to (side, side)."""
    return np.asarray(PIL.Image.fromarray(plane).resize((side, side), filter_))
