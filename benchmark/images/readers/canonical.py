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
"""DICOM and ITK coordinates grow to the left, the back and the head (LPS); NIfTI's to the right, the front and the
head (RAS)."""


def canonical(voxels: Array, affine: Array, path: Path) -> Image:
    """Reorient a volume to (x, y, z) in RAS+: x grows to the right, y to the front, z to the head.

    Args:
        voxels: 3D, any axes.
        affine: from voxel indices to mm in RAS, (4, 4).
        path: its name for messages.

    Axes are exchanged and flipped, never interpolated. Raises BadDataError for a singular or non-finite affine.
    """
    directions = affine[:3, :3]
    # The determinant is a voxel's volume in mm^3: 1e-9 would be a micrometre cubed.
    if not np.isfinite(affine).all() or abs(np.linalg.det(directions)) < 1e-9:
        raise BadDataError(
            f"{path} does not say how its axes are oriented in the patient (its affine is singular or not finite)",
            "convert the original DICOM series again, or leave it out",
        )
    orientation = io_orientation(affine)
    upright = affine @ inv_ornt_aff(orientation, voxels.shape)
    spacing = tuple(float(size) for size in voxel_sizes(upright))
    code = "".join(map(str, aff2axcodes(affine)))
    return Image(apply_orientation(voxels, orientation), spacing, affine=upright, orientation=code)
