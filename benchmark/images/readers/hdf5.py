"""Arrays in HDF5 files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError
from benchmark.images.readers.arrays import NAMES
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    import h5py

KNOWN = ("reconstruction_rss", "reconstruction_esc", *NAMES)
"""fastMRI's reconstructions, then the names that .npz files may use."""


def read(path: Path) -> Image:
    """Read the one array of a file, or that with a name of KNOWN, any shape. Raises BadDataError."""
    with opened(path) as file:
        names = [name for name in file if getattr(file[name], "shape", None)]
        name = names[0] if len(names) == 1 else next((known for known in KNOWN if known in names), None)
        if name is None:
            raise BadDataError(
                f"{path} holds {len(names)} arrays ({', '.join(names)}) and none is named {', '.join(KNOWN[:3])}",
                "save one image per file, named image",
            )
        if file[name].dtype.kind not in "biuf":
            raise BadDataError(
                f"{path} holds {file[name].dtype} values, real numbers are needed", "save magnitudes, not raw data"
            )
        return Image(file[name][()])


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file to read, with damage of any part of it as BadDataError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise BadDataError(f"{path} is truncated, damaged or not HDF5", "download or copy the file again") from error
