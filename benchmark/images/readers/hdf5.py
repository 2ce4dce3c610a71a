"""Arrays in HDF5 files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError
from benchmark.images.readers.arrays import NAMES
from benchmark.images.readers.image import Image
from benchmark.images.readers.limits import DEFLATE, decoding, require_file, require_size

if TYPE_CHECKING:
    import h5py

    from benchmark.core.types import Array

KNOWN = ("reconstruction_rss", "reconstruction_esc", *NAMES)
"""fastMRI's reconstructions, then the names that .npz files may use."""


def read(path: Path) -> Image:
    """Read the one array of a file, or that with a name of KNOWN, any shape. Raises BadDataError.

    Groups are searched where no array is at the top.
    """
    with _open(path) as file:
        with decoding(*_damage(path)):
            arrays = _arrays(file) or _nested(file)
        names = list(arrays)
        known = (name for wanted in KNOWN for name in names if name.rpartition("/")[2] == wanted)
        name = names[0] if len(names) == 1 else next(known, None)
        if name is None:
            listed = f"{len(names)} arrays ({', '.join(names)}) and none is named {', '.join(KNOWN[:3])}"
            raise BadDataError(
                f"{path} holds {listed if names else 'no array'}", "save one image per file, named image"
            )
        return Image(_values(arrays[name], path))


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file to read, with damage of any part of it as BadDataError."""
    try:
        with _open(path) as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise BadDataError(*_damage(path)) from error


def _open(path: Path) -> h5py.File:
    import h5py

    require_file(path)
    with decoding(*_damage(path)):
        file = h5py.File(path, "r")
        outside = _links_out(file)
    if outside:
        file.close()
        raise _elsewhere(path, outside[0])
    return file


def _links_out(file: h5py.File) -> list[str]:
    """Return the names of links to other files. They are looked for first: a link within the file may lead to one."""
    import h5py

    names = []

    def add(name: bytes, link: h5py.h5l.LinkInfo) -> None:
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            names.append(name.decode(errors="replace"))

    file.id.links.visit(add, info=True)
    return names


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the arrays at the top of a file by name."""
    import h5py

    arrays = {}
    for name in file:
        part = file.get(name)  # None for a link to nothing
        if isinstance(part, h5py.Dataset) and part.shape:
            arrays[name] = part
    return arrays


def _nested(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the arrays in groups by path; each object once, whatever links lead to it."""
    import h5py

    arrays = {}

    def add(name: str, part: object) -> None:
        if isinstance(part, h5py.Dataset) and part.shape:
            arrays[name] = part

    file.visititems(add)
    return arrays


def _values(array: h5py.Dataset, path: Path) -> Array:
    with decoding(*_damage(path)):
        kind, elsewhere = array.dtype, bool(array.external or array.is_virtual)
        held = min(array.id.get_storage_size(), path.stat().st_size)
    if elsewhere:
        raise _elsewhere(path, array.name.lstrip("/"))
    if kind.kind not in "biuf":
        raise BadDataError(f"{path} holds {kind} values, real numbers are needed", "save magnitudes, not raw data")
    _require_filters(array, path)
    require_size(path, array.shape, kind.itemsize, held, DEFLATE if array.chunks else 1)
    if array.chunks:  # one is unpacked whole, and may be larger than the array
        require_size(path, array.chunks, kind.itemsize, held, DEFLATE)
    with decoding(*_damage(path)):
        values: Array = array[()]
    return values


def _require_filters(array: h5py.Dataset, path: Path) -> None:
    """Raise BadDataError where the array is packed in a way that this computer cannot unpack, such as Blosc."""
    import h5py

    with decoding(*_damage(path)):
        packing = array.id.get_create_plist()
        filters = [packing.get_filter(number) for number in range(packing.get_nfilters())]
        missing = [code for code, *_ in filters if not h5py.h5z.filter_avail(code)]
    if missing:
        raise BadDataError(
            f"{path} is packed with the HDF5 filter {missing[0]}, which is not installed",
            "save it again with gzip (h5repack -f GZIP=4)",
        )


def _elsewhere(path: Path, name: str) -> BadDataError:
    """Return the error of a file that would have others opened: they might be any on this computer."""
    return BadDataError(
        f"{path} holds no pixels: its array {name} is in another file", "copy the array itself into this file"
    )


def _damage(path: Path) -> tuple[str, str]:
    return f"{path} is truncated, damaged or not HDF5", "download or copy the file again"
