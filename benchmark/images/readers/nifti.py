"""NIfTI volumes in one orientation, whatever the orientation of the file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import canonical
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

NIFTI2 = (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""The first bytes of a NIfTI-2 file, either byte order: the size of its header, 540 bytes."""
HEADER_DAMAGE = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError)
MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read(path: Path, *, part: int | None = None) -> Image:
    """Read a 3D volume as (x, y, z) in RAS+: x grows to the right, y to the front, z to the head.

    Files that store the same head in LPS and in RAS give identical arrays. Spacing in mm. `part` chooses one volume of
    a 4D file, from 0.
    Raises BadDataError for a damaged file, another number of dimensions or an unusable orientation.
    """
    volume = _load(path, part)
    unit = _millimetres(volume)
    affine = np.diag([unit, unit, unit, 1.0]) @ volume.affine
    return canonical(_pixels(volume, path), affine, path)


def _millimetres(volume: nibabel.Nifti1Image) -> float:
    try:
        return MILLIMETRES[volume.header.get_xyzt_units()[0]]
    except KeyError:  # a code that no version of the format knows: written by mistake for millimetres
        return 1.0


def _load(path: Path, part: int | None) -> nibabel.Nifti1Image:
    try:
        volume = _unpacked(path) if path.name.lower().endswith(".gz") else nibabel.load(path)
    except HEADER_DAMAGE as error:
        raise BadDataError(f"{path} is not a NIfTI file, or its header is damaged", _AGAIN) from error
    if len(volume.shape) == 4 and (part or 0) >= volume.shape[3]:
        raise BadDataError(f"{path} holds {volume.shape[3]} volumes, number {part} was asked for", "count from 0")
    if len(volume.shape) == 4 and (part is not None or volume.shape[3] == 1):
        volume = volume.slicer[..., part or 0]
    if len(volume.shape) != 3:
        raise BadDataError(
            f"{path} holds {len(volume.shape)} dimensions {volume.shape}, one 3D volume is needed",
            "split it into one file per volume",
        )
    return volume


def _unpacked(path: Path) -> nibabel.Nifti1Image:
    """Unpack the whole file, so that its checksum is verified: nibabel stops before it."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadDataError(f"{path} is truncated or damaged: it cannot be unpacked", _AGAIN) from error
    kind = nibabel.Nifti2Image if content[:4] in NIFTI2 else nibabel.Nifti1Image
    return kind.from_bytes(content)


def _pixels(volume: nibabel.Nifti1Image, path: Path) -> Array:
    try:
        return np.asanyarray(volume.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadDataError(f"{path} is truncated or damaged: its voxels cannot be read", _AGAIN) from error


_AGAIN = "download or copy the file again"
