"""Siemens mosaics: the planes of one volume stored as tiles of one large plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.dicom_kinds import image_type
from benchmark.images.readers.frame_tags import number, numbers

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.core.types import Array

MOSAIC = "MOSAIC"
"""Part of ImageType."""
COUNT = (0x0019, 0x100A)
"""NumberOfImagesInMosaic of the block `SIEMENS MR HEADER`."""


def mosaic_count(header: Dataset) -> int:
    """Return how many planes a mosaic holds, by its private tag or its CSA header; 0 where neither tells."""
    if MOSAIC not in image_type(header):
        return 0
    stated = header.get(COUNT)
    count = number(stated.value) if stated is not None else None
    return int(count or _csa(header, "NumberOfImagesInMosaic") or 0)


def unpack_mosaic(header: Dataset, mosaic: Array, path: Path) -> Iterator[tuple[Array, Array]]:
    """Yield each plane (rows, columns) of a mosaic and the position of its first pixel in mm, (3,).

    Tiles fill a square grid row by row. ImagePositionPatient is that of a plane as large as the mosaic with the same
    centre, so the first pixel of a tile is half the difference further in (nibabel, `MosaicWrapper`).
    Raises BadDataError where the number of planes, their distance or their position is unknown.
    """
    count = mosaic_count(header)
    if count < 1:
        raise BadDataError(
            f"{path} is a mosaic of an unknown number of planes (no NumberOfImagesInMosaic)",
            _CONVERT,
        )
    side = int(np.ceil(np.sqrt(count)))
    if mosaic.shape[0] % side or mosaic.shape[1] % side:
        size = " x ".join(map(str, mosaic.shape))
        raise BadDataError(f"{path} is a mosaic of {count} planes, but {size} pixels do not divide into them", _CONVERT)
    first, step = _placed(header, mosaic.shape, side, path)
    rows, columns = mosaic.shape[0] // side, mosaic.shape[1] // side
    for index in range(count):
        row, column = divmod(index, side)
        tile = mosaic[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        yield tile, first + index * step


def _placed(header: Dataset, shape: tuple[int, ...], side: int, path: Path) -> tuple[Array, Array]:
    """Return the position of the first pixel of the first plane, and the step between planes, mm, (3,) each."""
    corner = numbers([header], "ImagePositionPatient", 3, path)
    directions = numbers([header], "ImageOrientationPatient", 6, path)
    spacing = numbers([header], "PixelSpacing", 2, path)
    distance = number(header.get("SpacingBetweenSlices")) or number(header.get("SliceThickness"))
    if corner is None or directions is None or spacing is None or not distance:
        raise BadDataError(f"{path} is a mosaic whose planes have no position, spacing or distance", _CONVERT)
    along_row, along_column = directions.reshape(2, 3)
    extent = np.array(shape) * (1 - 1 / side) / 2 * spacing
    normal = np.cross(along_row, along_column)
    stated = _csa(header, "SliceNormalVector")
    # Planes may run against the right-handed normal; only the CSA header says so.
    sign = 1.0 if stated is None or np.dot(stated, normal) >= 0 else -1.0
    return corner + along_column * extent[0] + along_row * extent[1], sign * distance * normal


def _csa(header: Dataset, name: str) -> Any:
    """Return a value of the CSA image header: a number, or three for the normal; None where it is not there."""
    from nibabel.nicom import csareader

    try:
        csa = csareader.get_csa_header(header, "image")
        if csa is None:
            return None
        return csareader.get_n_mosaic(csa) if name.startswith("Number") else csareader.get_slice_normal(csa)
    except (csareader.CSAError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None  # a damaged private block: the mosaic is refused for what it then lacks


_CONVERT = "convert the series with dcm2niix, and give the NIfTI files"
