"""Arrays saved by numpy; nothing that would run code when opened."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

NAMES = ("image", "images", "pixels", "arr_0")
DAMAGE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError)


def read_npy(path: Path) -> Image:
    """Read a .npy array of numbers, any shape. Raises BadDataError for pickled objects and damaged files."""
    return Image(_numbers(_load(path), path))


def read_npz(path: Path) -> Image:
    """Read the one image of a .npz file: its only array, or that named image, images, pixels or arr_0.

    An array named spacing_mm gives the spacing. Raises BadDataError as `read_npy` does.
    """
    with _load(path) as archive:
        names = [name for name in archive.files if name != "spacing_mm"]
        name = names[0] if len(names) == 1 else next((known for known in NAMES if known in names), None)
        if name is None:
            raise BadDataError(
                f"{path} holds {len(names)} arrays ({', '.join(names)}) and none is named {', '.join(NAMES[:3])}",
                "save one image per file, named image",
            )
        pixels = _numbers(_member(archive, name, path), path)
        spacing = _member(archive, "spacing_mm", path) if "spacing_mm" in archive.files else ()
    return Image(pixels, tuple(float(size) for size in spacing))


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except DAMAGE as error:
        raise _damage(error, path) from error


def _member(archive: Any, name: str, path: Path) -> Array:
    try:
        member: Array = archive[name]
    except DAMAGE as error:
        raise _damage(error, path) from error
    return member


def _damage(error: Exception, path: Path) -> BadDataError:
    if "pickle" in str(error) and path.read_bytes()[:2] in (b"PK", b"\x93N"):
        return BadDataError(
            f"{path} holds pickled Python objects, and opening a pickle can run any code hidden in it",
            "save plain numbers: numpy.save(path, array.astype('float32'))",
        )
    return BadDataError(
        f"{path} is truncated, damaged or not a numpy file", "save it again with numpy.save or numpy.savez"
    )


def _numbers(array: Array, path: Path) -> Array:
    if array.dtype.kind not in "biuf":
        raise BadDataError(f"{path} holds {array.dtype} values, real numbers are needed", "save plain numbers")
    return array
