"""Series whose table moved at an angle to the planes: a tilted gantry shears the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import shift

if TYPE_CHECKING:
    from benchmark.core.types import Array

LEAST_TILT = 1.0
"""Degrees: a smaller angle moves a plane by less than a pixel over most series."""
INVISIBLE = 0.01
"""Pixels: a shift of the last plane that is smaller is rounding."""


def tilt_degrees(affine: Array) -> float:
    """Return the angle between the step from plane to plane and the normal of the planes; affine (4, 4)."""
    normal, step = np.cross(affine[:3, 0], affine[:3, 1]), affine[:3, 2]
    cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
    return float(np.degrees(np.arccos(np.clip(cosine, 0, 1))))


def upright(voxels: Array, affine: Array) -> tuple[Array, Array]:
    """Shift each plane within itself, so that the planes are stacked along their normal.

    Args:
        voxels: (columns, rows, planes).
        affine: from voxel indices to mm, (4, 4).

    Returns the volume, larger by the greatest shift so that nothing is cut off, and its affine. Planes are interpolated
    linearly; what no plane covers has the least value of the volume, which is air in CT. Integers stay integers.
    """
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    basis = np.column_stack([affine[:3, 0], affine[:3, 1], normal / np.linalg.norm(normal)])
    per_plane = np.linalg.solve(basis, affine[:3, 2])  # pixels along rows, pixels along columns, mm along the normal
    total = per_plane[:2] * (voxels.shape[2] - 1)
    total[np.abs(total) < INVISIBLE] = 0
    start = np.floor(np.minimum(total, 0))
    extent = np.array(voxels.shape[:2]) + np.ceil(np.abs(total)).astype(int)
    least = voxels.min()
    result = np.full((*extent, voxels.shape[2]), least, dtype=voxels.dtype)
    for number, share in enumerate(np.linspace(0, 1, voxels.shape[2])):
        plane = np.full(extent, least, dtype=np.float32)
        plane[: voxels.shape[0], : voxels.shape[1]] = voxels[:, :, number]
        moved = shift(plane, share * total - start, order=1, mode="constant", cval=float(least))
        result[:, :, number] = np.round(moved) if voxels.dtype.kind in "iub" else moved
    straight = affine.copy()
    straight[:3, 2] = basis[:, 2] * per_plane[2]
    straight[:3, 3] = affine[:3, 3] + affine[:3, :2] @ start
    return result, straight
