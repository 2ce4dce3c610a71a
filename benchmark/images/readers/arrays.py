"""Arrays saved by numpy; nothing that would run code when opened."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image
from benchmark.images.readers.limits import DEFLATE, decoding, require_size

if TYPE_CHECKING:
    from benchmark.core.types import Array

NAMES = ("image", "images", "pixels", "arr_0")
NPY, ZIP = b"\x93NUMPY", b"PK"
EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE}
"""How `numpy.savez` and `numpy.savez_compressed` pack, and how far that can expand."""


def read(path: Path) -> Image:
    """Read the array of a .npy or .npz file, any shape; which of them it is, its first bytes tell.

    Raises BadDataError for pickled objects, damaged files, and headers that declare more than the file holds.
    """
    with path.open("rb") as file:
        start = file.read(len(NPY))
        file.seek(0)
        if start == NPY:
            _require_numbers(file, path, path.stat().st_size, 1)
            file.seek(0)
            return Image(_array(file, path))
    if start[:2] == ZIP:
        return _read_npz(path)
    raise BadDataError(*_damage(path))


def _read_npz(path: Path) -> Image:
    """Read the one image of a .npz file: its only array, or that named image, images, pixels or arr_0.

    An array named spacing_mm gives the spacing. Raises BadDataError as `read` does.
    """
    with decoding(*_damage(path)):
        archive = zipfile.ZipFile(path)
    with archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        names = [name for name in members if name != "spacing_mm"]
        name = names[0] if len(names) == 1 else next((known for known in NAMES if known in names), None)
        if name is None:
            raise BadDataError(
                f"{path} holds {len(names)} arrays ({', '.join(names)}) and none is named {', '.join(NAMES[:3])}",
                "save one image per file, named image",
            )
        pixels = _member(archive, members[name], path)
        spacing = _member(archive, members["spacing_mm"], path) if "spacing_mm" in members else None
    return Image(pixels, () if spacing is None else _spacing(spacing, path))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Array:
    if member.compress_type not in EXPANSION:
        raise BadDataError(*_damage(path))
    with decoding(*_damage(path)), archive.open(member) as file:
        held = min(member.compress_size, path.stat().st_size)  # the directory of a damaged file may declare anything
        _require_numbers(file, path, held, EXPANSION[member.compress_type])
    with decoding(*_damage(path)), archive.open(member) as file:
        return _array(file, path)


def _require_numbers(file: IO[bytes], path: Path, held: int, expansion: int) -> None:
    """Raise BadDataError where the header of an array, which begins here, is damaged, or declares what is not read."""
    with decoding(*_damage(path)):
        version = np.lib.format.read_magic(file)
        # Version 3 differs from 2 by the names of fields only, which images do not have.
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(file)
    if kind.hasobject:
        raise BadDataError(
            f"{path} holds pickled Python objects, and opening a pickle can run any code hidden in it",
            "save plain numbers: numpy.save(path, array.astype('float32'))",
        )
    if kind.kind not in "biuf":
        raise BadDataError(f"{path} holds {kind} values, real numbers are needed", "save plain numbers")
    require_size(path, shape, kind.itemsize, held, expansion)


def _array(file: IO[bytes], path: Path) -> Array:
    with decoding(*_damage(path)):
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _spacing(sizes: Array, path: Path) -> tuple[float, ...]:
    spacing = tuple(float(size) for size in sizes.ravel())
    if not all(np.isfinite(size) and size > 0 for size in spacing):
        raise BadDataError(
            f"{path} has spacing_mm {', '.join(f'{size:g}' for size in spacing)}: a size is above 0",
            "save the millimetres between pixels, or leave spacing_mm out",
        )
    return spacing


def _damage(path: Path) -> tuple[str, str]:
    return f"{path} is truncated, damaged or not a numpy file", "save it again with numpy.save or numpy.savez"
