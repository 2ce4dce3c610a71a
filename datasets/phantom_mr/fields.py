"""Smooth random fields and signed distances on a 2 mm grid, and their refinement to the 1 mm voxels."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Field = NDArray[np.float32]

SHAPE = (240, 240, 155)
CORNER = (44, 22, 5)
COARSE = (77, 101, 72)
ORIGIN = (120, 122, 73)
"""Voxel of the mid-commissural point, from which the anatomy is measured."""
FAR = np.float32(99)
ALL_LEVELS = slice(None)


class Place(NamedTuple):
    """Position of each grid point in the patient: mm to the left, to the front, upwards of the commissures."""

    left: Field
    front: Field
    up: Field


def place(levels: slice = ALL_LEVELS) -> Place:
    """Return the coordinates of the 2 mm grid, three fields of shape COARSE, or of some of its axial levels."""
    axes = [
        corner + 2 * np.arange(n, dtype=np.float32) - origin
        for corner, n, origin in zip(CORNER, COARSE, ORIGIN, strict=True)
    ]
    axes[2] = axes[2][levels]
    left, back, up = np.meshgrid(*axes, indexing="ij")
    return Place(left, -back, up)


def smooth_noise(rng: np.random.Generator, scale_mm: float, shape: Sequence[int]) -> Field:
    """Return a Gaussian field of unit variance that varies over about scale_mm, on a 2 mm grid of a shape."""
    weights = [_weights(n, scale_mm / 2) for n in shape]
    field = rng.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
    for axis, w in enumerate(weights):
        field = np.moveaxis(np.tensordot(w, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def _weights(points: int, scale: float) -> Field:
    knots = np.arange(-1, points / scale + 2, dtype=np.float32) * scale
    bell = np.exp(-0.5 * ((np.arange(points)[:, None] - knots) / (0.6 * scale)) ** 2)
    return np.asarray(bell / np.sqrt((bell**2).sum(1, keepdims=True)), np.float32)


def ripples(rng: np.random.Generator, wavelength_mm: float, size: int = 96) -> Field:
    """Return band-limited noise, periodic over `size` grid points of 2 mm: its zero level is a labyrinth."""
    k = [scipy.fft.fftfreq(size, 2.0)] * 2 + [scipy.fft.rfftfreq(size, 2.0)]
    radius = np.sqrt(k[0][:, None, None] ** 2 + k[1][None, :, None] ** 2 + k[2] ** 2) * wavelength_mm
    spectrum = scipy.fft.rfftn(rng.standard_normal((size, size, size), dtype=np.float32))
    spectrum *= np.exp(-0.5 * ((radius - 1) / 0.18) ** 2).astype(np.float32)
    field = scipy.fft.irfftn(spectrum, (size, size, size))
    return np.asarray(field / field.std(), np.float32)


def look_up(field: Field, where: Sequence[Field]) -> Field:
    """Sample a periodic field at places given in mm, linearly."""
    points = np.stack([x / 2 for x in where])
    return map_coordinates(field, points, order=1, mode="grid-wrap", output=np.float32)  # type: ignore[no-any-return]


def slope(field: Field) -> tuple[Field, Field, Field]:
    """Return the derivatives per mm along left, front and up."""
    x, y, z = (np.asarray(part, np.float32) for part in np.gradient(field, 2))
    return x, -y, z


def steepness(field: Field) -> Field:
    """Return the length of the gradient, per mm."""
    x, y, z = slope(field)
    return np.asarray(np.sqrt(x * x + y * y + z * z), np.float32)


def refine(field: Field) -> Field:
    """Interpolate a field from the 2 mm grid to the 1 mm voxels: n points become 2n - 1 along each axis."""
    for axis in (2, 1, 0):
        shape = [2 * n - 1 if a == axis else n for a, n in enumerate(field.shape)]
        fine = np.empty(shape, np.float32)
        at = [(slice(None),) * axis + (part,) for part in (slice(0, None, 2), slice(1, None, 2))]
        fine[at[0]], fine[at[1]] = field, _halfway(field, axis)
        field = fine
    return field


def _halfway(field: Field, axis: int) -> Field:
    def part(start: int, stop: int | None) -> Field:
        return field[(slice(None),) * axis + (slice(start, stop),)]

    middle = (part(1, None) + part(0, -1)) * np.float32(0.5)
    inner = middle[(slice(None),) * axis + (slice(1, -1),)]
    # Four-point cubic interpolation: 9/16 of the two neighbours, -1/16 of the next two.
    inner *= np.float32(1.125)
    inner -= (part(3, None) + part(0, -3)) * np.float32(0.0625)
    return middle


def smooth_min(a: Field, b: Field, blend_mm: float) -> Field:
    """Unite two bodies given by signed distances, with a fillet of blend_mm."""
    h = np.maximum(blend_mm - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - h * h / (4 * blend_mm), np.float32)


def smooth_max(a: Field, b: Field, blend_mm: float) -> Field:
    """Intersect two bodies given by signed distances, with a rounded edge of blend_mm."""
    return -smooth_min(-a, -b, blend_mm)


def ellipsoid(at: Place, centre: Sequence[float], radii: Sequence[float]) -> Field:
    """Return about the signed distance in mm to an ellipsoid, negative inside."""
    parts = [(x - np.float32(c)) / np.float32(r) for x, c, r in zip(at, centre, radii, strict=True)]
    level = np.sqrt(sum(p * p for p in parts)) + np.float32(1e-6)
    steep = np.sqrt(sum((p / np.float32(r)) ** 2 for p, r in zip(parts, radii, strict=True))) + np.float32(1e-6)
    return np.asarray(level * (level - 1) / steep, np.float32)


def tube(at: Place, points: Sequence[tuple[float, float, float, float]]) -> Field:
    """Return the signed distance in mm to a tube through (left, front, up, radius) points, negative inside."""
    nearest = np.full(at.left.shape, FAR)
    for start, end in itertools.pairwise(np.array(points, np.float32)):
        nearest = np.minimum(nearest, _cone(at, start, end))
    return nearest


def _cone(at: Place, start: Field, end: Field) -> Field:
    along = end - start
    offset = [x - s for x, s in zip(at, start[:3], strict=True)]
    t = sum(o * d for o, d in zip(offset, along[:3], strict=True)) / (along[:3] ** 2).sum()
    t = np.clip(t, 0, 1)
    square = sum((o - t * d) ** 2 for o, d in zip(offset, along[:3], strict=True))
    return np.sqrt(square) - (start[3] + t * along[3])  # type: ignore[no-any-return]
