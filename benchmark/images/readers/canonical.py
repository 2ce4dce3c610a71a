"""One orientation for all volumes, whatever the orientation of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM and ITK count to the left, the back and the head; NIfTI to the right, the front and the head."""


def canonical(voxels: Array, affine: Array, path: Path) -> Image:
    """Turn a volume to (x, y, z) in RAS+: x grows to the right, y to the front, z to the head.

    Args:
        voxels: 3D, any axes.
        affine: from voxel numbers to mm in RAS, 4 x 4.
        path: named in messages.

    Axes are exchanged and turned, never interpolated. Raises BadDataError for a singular or non-finite affine.
    """
    directions = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(directions)) < 1e-9:
        raise BadDataError(
            f"{path} does not say how its axes lie in the patient (its affine is singular or not finite)",
            "convert the original DICOM series again, or leave it out",
        )
    turn = io_orientation(affine)
    upright = affine @ inv_ornt_aff(turn, voxels.shape)
    spacing = tuple(float(size) for size in voxel_sizes(upright))
    return Image(
        apply_orientation(voxels, turn), spacing, affine=upright, orientation="".join(map(str, aff2axcodes(affine)))
    )
