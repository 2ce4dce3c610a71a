"""NIfTI volumes in one orientation, whatever the orientation of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
from nibabel import imageglobals
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spm2analyze import Spm2AnalyzeHeader
from nibabel.volumeutils import apply_read_scaling

from benchmark.core.errors import BadDataError
from benchmark.images.readers.gzip_file import is_gzip, unpack, unpacked_start
from benchmark.images.readers.image import Image
from benchmark.images.readers.limits import AGAIN, DEFLATE, decoding, require_companion, require_size
from benchmark.images.readers.nifti_geometry import placed

if TYPE_CHECKING:
    from benchmark.core.types import Array

NIFTI1, NIFTI2 = 348, 540
"""Bytes of a header; its first number says which."""
HEADERS = {
    b"n+1\0": nibabel.Nifti1Header,
    b"ni1\0": Nifti1PairHeader,
    b"n+2\0": nibabel.Nifti2Header,
    b"ni2\0": Nifti2PairHeader,
}
"""The format's own mark -> its header; files of pairs keep their voxels in a file of their own."""

imageglobals.logger.setLevel("CRITICAL")  # it prints what it corrects; what matters is said in remarks


@dataclass(frozen=True)
class Header:
    """What a header says, as nibabel corrects it, and as it was written."""

    corrected: Any
    written: Any
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    offset: int
    """Bytes before the first voxel."""


def read(path: Path, *, part: int | None = None) -> Image:
    """Read a 3D volume as (x, y, z) in RAS+: x grows to the right, y to the front, z to the head.

    Files that store the same head in LPS and in RAS give identical arrays. Spacing in mm. A plane is a volume with one
    voxel along z. Whether a file is compressed, its first bytes tell, not its name. `part` chooses one volume of a 4D
    file, from 0.
    Raises BadDataError for a damaged file, another number of dimensions, or voxel sizes and directions that are
    unusable or contradict each other.
    """
    packed = _is_packed(path)
    header = _header(path, packed)
    file = _voxel_file(path, header)
    chosen = _chosen(_stored(file, header, path, packed if file == path else _is_packed(file)), part, path)
    return placed(_scaled(chosen, header, path), header.written, header.corrected, path)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return is_gzip(file.read(2))


def _header(path: Path, packed: bool) -> Header:
    if packed:
        with decoding(f"{path} is truncated or damaged: it cannot be unpacked"):
            start = unpacked_start(path, NIFTI2)
    else:
        with path.open("rb") as file:
            start = file.read(NIFTI2)
    kind = HEADERS.get(start[344:348]) or HEADERS.get(start[4:8])
    if kind is None and path.suffix.lower() == ".hdr" and NIFTI1 in (_number(start, "<"), _number(start, ">")):
        kind = Spm2AnalyzeHeader  # the format before NIfTI: no orientation
    if kind is None:
        raise BadDataError(*_no_header(path))
    with decoding(*_no_header(path)):
        start = start[: kind.template_dtype.itemsize]
        written, corrected = kind(start, check=False), kind(start)
        shape = tuple(int(size) for size in corrected.get_data_shape())
        first = kind.single_vox_offset if getattr(kind, "is_single", False) else 0
        offset = max(int(corrected.get_data_offset()), first)
        voxel = corrected.get_data_dtype()
    if not shape or min(shape) < 0:
        raise BadDataError(*_no_header(path))
    return Header(corrected, written, shape, voxel, offset)


def _number(start: bytes, order: str) -> int:
    return int(np.frombuffer(start[:4].ljust(4, b"\0"), f"{order}i4")[0])


def _no_header(path: Path) -> tuple[str, str]:
    return f"{path} is not a NIfTI file, or its header is damaged", AGAIN


def _voxel_file(path: Path, header: Header) -> Path:
    """Return the file with the voxels: the one with the same name and the ending .img for the header of a pair."""
    if getattr(header.written, "is_single", False):
        return path
    capitals = path.suffix.isupper()
    names = [path.with_suffix(".IMG" if capitals else ".img"), path.with_suffix(".img.gz")]
    for file in names:
        if file.exists():
            require_companion(file, path)
            return file
    raise BadDataError(
        f"{path} is a header without voxels: there is no file {names[0].name} in its folder",
        "copy both files of the pair, or convert them to .nii.gz",
    )


def _stored(file: Path, header: Header, path: Path, packed: bool) -> Array:
    """Return the voxels as stored, of the shape in the header, not yet scaled: mapped, or unpacked in memory."""
    size = file.stat().st_size
    require_size(path, header.shape, header.kind.itemsize, size, DEFLATE if packed else 1)
    count = int(np.prod(header.shape, dtype=np.int64))
    end = header.offset + count * header.kind.itemsize
    if not count:
        return np.empty(header.shape, header.kind)
    if packed:
        content = unpack(file, end)
        return np.ndarray(header.shape, header.kind, content, header.offset, order="F")
    if end > size:
        raise BadDataError(
            f"{path} is truncated or damaged: its header declares {end:,} bytes, the file has {size:,}", AGAIN
        )
    return np.memmap(file, header.kind, "c", header.offset, header.shape, order="F")


def _chosen(voxels: Array, part: int | None, path: Path) -> Array:
    """Return one volume (x, y, z) of voxels of any shape: trailing axes of length 1 are dropped; a plane gets one."""
    shape = voxels.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    voxels = voxels.reshape(shape, order="F") if len(shape) < voxels.ndim else voxels
    volumes = voxels.shape[3] if voxels.ndim == 4 else 1
    if part and voxels.ndim <= 4 and part >= volumes:
        held = f"{volumes} volume{'s' * (volumes > 1)}"
        raise BadDataError(f"{path} holds {held}, number {part} was asked for", "count from 0")
    if voxels.ndim == 4 and part is not None:
        voxels = voxels[..., part]
    if voxels.ndim == 2:
        voxels = voxels[..., None]
    if voxels.ndim != 3:
        raise BadDataError(
            f"{path} holds {voxels.ndim} dimensions {voxels.shape}, one 3D volume is needed",
            "split it into one file per volume; data sets of volumes also take --set-data part=0",
        )
    return voxels


def _scaled(voxels: Array, header: Header, path: Path) -> Array:
    """Return voxels (x, y, z) * slope + intercept where the header has them, else as stored."""
    if voxels.dtype.kind not in "biuf":
        return voxels  # colours and complex numbers are refused by `checked`
    with decoding(f"{path} is not a NIfTI file, or its header is damaged"):
        slope, intercept = header.corrected.get_slope_inter()
        if slope is None:
            return voxels
        return np.asanyarray(apply_read_scaling(voxels, np.float64(slope), np.float64(intercept or 0)))
