"""MetaImage and NRRD volumes and planes, through SimpleITK."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import LPS_TO_RAS, UNORIENTED, canonical
from benchmark.images.readers.image import IN_DOUBT, Image
from benchmark.images.readers.itk_headers import BinaryVoxels, Layout, damage, layout
from benchmark.images.readers.limits import decoding, require_size
from benchmark.images.readers.terminal import silent

if TYPE_CHECKING:
    from benchmark.core.types import Array

RIGHT_ANGLES = 1e-3
"""Largest cosine between two axes, and deviation of a direction's length from 1: headers round directions."""
ASSUMED = f"{IN_DOUBT}, no directions in the file: axes run to the left, the back and the head, as ITK assumes"


def read(path: Path) -> Image:
    """Read a volume as (x, y, z) in RAS+, or a plane as (rows, columns). Raises BadDataError for others."""
    where = layout(path)
    reader = _reader(path)
    image = _pixels(reader, where, path)
    if where.scale != (1.0, 0.0):
        image = image * np.float32(where.scale[0]) + np.float32(where.scale[1])
    if image.ndim == 2:
        spacing = tuple(float(size) * where.unit_mm for size in reader.GetSpacing()[::-1])
        return Image(image, spacing if where.sized else ())
    affine = _affine(reader, path)
    affine[:3] *= where.unit_mm
    volume = image.transpose(2, 1, 0)
    if not where.oriented:
        sizes = tuple(float(size) * where.unit_mm for size in reader.GetSpacing())
        return Image(volume, sizes if where.sized else (), remarks=((UNORIENTED, ""),))
    upright = canonical(volume, LPS_TO_RAS @ affine, path)
    if where.assumed:
        upright = replace(upright, remarks=(*upright.remarks, (ASSUMED, "")))
    return upright if where.sized else replace(upright, spacing_mm=(), affine=None)


def _reader(path: Path) -> Any:
    """Return SimpleITK's reader after it has read the header."""
    import SimpleITK  # 50 MB: loaded where such a file is met

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader: Any = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
    reader.SetFileName(str(path))
    with decoding(*damage(path)), silent():
        reader.ReadImageInformation()
    return reader


def _pixels(reader: Any, where: Layout, path: Path) -> Array:
    """Return the grey levels, (z, y, x) or (y, x)."""
    import SimpleITK

    if reader.GetNumberOfComponents() > 1 or reader.GetDimension() not in (2, 3):
        raise BadDataError(
            f"{path} holds {reader.GetDimension()} dimensions and {reader.GetNumberOfComponents()} "
            "values per voxel, one grey volume is needed",
            "split it into one file per volume",
        )
    with decoding(*damage(path)):
        kind = SimpleITK.GetArrayViewFromImage(SimpleITK.Image([1, 1], reader.GetPixelID())).dtype
    held = sum(file.stat().st_size for file in where.files)
    require_size(path, reader.GetSize(), kind.itemsize, held, where.expansion)
    if where.voxels:
        return _binary(where.files[0], where.voxels, reader.GetSize()[::-1], kind, path)
    with decoding(*damage(path)), silent():
        pixels: Array = SimpleITK.GetArrayFromImage(reader.Execute())
    return pixels


def _binary(file: Path, voxels: BinaryVoxels, shape: tuple[int, ...], kind: np.dtype[Any], path: Path) -> Array:
    """Return the voxels of a MetaImage: SimpleITK would print its findings on damaged ones."""
    size = math.prod(shape) * kind.itemsize
    start = voxels.offset if voxels.offset >= 0 else max(0, file.stat().st_size - size)
    with file.open("rb") as opened:
        opened.seek(start)
        content = opened.read(-1 if voxels.compressed else size)
    if voxels.compressed:
        with decoding(*damage(path)):
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # with the header of zlib or of gzip
            content = unpacker.decompress(content, size)
            # A checksum follows the voxels; it is verified where the stream is read to its end.
            beyond = unpacker.decompress(unpacker.unconsumed_tail, 1)
            if not unpacker.eof or beyond:
                raise BadDataError(*damage(path))
    if len(content) != size:
        raise BadDataError(*damage(path))
    return np.frombuffer(content, kind.newbyteorder(">" if voxels.big_endian else "<")).reshape(shape)


def _affine(reader: Any, path: Path) -> Array:
    """Return the map from voxel indices to mm in LPS, (4, 4): columns of directions times spacing."""
    directions = np.reshape(reader.GetDirection(), (3, 3))
    if not np.allclose(directions.T @ directions, np.eye(3), atol=RIGHT_ANGLES):
        raise BadDataError(
            f"{path} has axes that are not at right angles, or directions that are not of length 1",
            "convert the original DICOM series again, or leave it out",
        )
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return affine
