"""One orientation for all volumes, whatever the orientation of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from nibabel.affines import obliquity, voxel_sizes
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import IN_DOUBT, Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM and ITK coordinates grow to the left, the back and the head (LPS); NIfTI's to the right, the front and the
head (RAS)."""

UNORIENTED = f"{IN_DOUBT}, no orientation in the file: axes were kept as stored"
OBLIQUE = f"{IN_DOUBT}, axes far from those of the patient (40 degrees or more): the nearest were used"
ODD_SIZE = f"{IN_DOUBT}, voxels above 100 mm or below 0.001 mm: the unit of the file may be wrong"
FAR = np.deg2rad(40)
"""At 45 degrees, two files of one scan could be assigned to different axes."""
PLAUSIBLE_MM = (1e-3, 100.0)
FLAT = 1e-2
"""Volume of a voxel relative to a right-angled one of its sizes: a gantry tilted by 30 degrees gives 0.87."""


def canonical(voxels: Array, affine: Array, path: Path) -> Image:
    """Reorient a volume to (x, y, z) in RAS+: x grows to the right, y to the front, z to the head.

    Args:
        voxels: 3D, any axes.
        affine: from voxel indices to mm in RAS, (4, 4).
        path: its name for messages.

    Axes are exchanged and flipped, never interpolated. Raises BadDataError for a singular or non-finite affine.
    """
    if not is_usable(affine):
        raise no_directions(path)
    orientation = io_orientation(affine)
    upright = affine @ inv_ornt_aff(orientation, voxels.shape)
    spacing = tuple(float(size) for size in voxel_sizes(upright))
    code = "".join(map(str, aff2axcodes(affine)))
    return Image(apply_orientation(voxels, orientation), spacing, upright, code, _remarks(upright, spacing))


def is_usable(affine: Array) -> bool:
    """Return whether an affine (4, 4) is finite and its three axes span a volume."""
    sizes = voxel_sizes(affine)
    if not np.isfinite(affine).all() or not (sizes > 0).all():
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / sizes)) > FLAT)


def no_directions(path: Path) -> BadDataError:
    """Return the error of a file whose axes have no usable direction."""
    return BadDataError(
        f"{path} does not say how its axes are oriented in the patient (its affine is singular or not finite)",
        "convert the original DICOM series again, or leave it out",
    )


def _remarks(affine: Array, spacing: tuple[float, ...]) -> tuple[tuple[str, str], ...]:
    remarks = []
    angle = float(np.max(obliquity(affine)))
    if angle > FAR:
        remarks.append((OBLIQUE, f"{np.rad2deg(angle):.0f} degrees"))
    if min(spacing) < PLAUSIBLE_MM[0] or max(spacing) > PLAUSIBLE_MM[1]:
        remarks.append((ODD_SIZE, " x ".join(f"{size:.4g}" for size in spacing) + " mm"))
    return tuple(remarks)
