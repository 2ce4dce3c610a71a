"""The files that a reader opens besides the one that it was given: the voxels of a header."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers.itk_headers import layout

ITK = (".mhd", ".mha", ".nhdr", ".nrrd")
PAIRED = (".img", ".img.gz", ".IMG")
"""Endings of the voxels that belong to a NIfTI or Analyze header `.hdr`."""


def companions(file: Path) -> tuple[Path, ...]:
    """Return the existing files that are read with a file, without itself; none for most formats.

    A header that is damaged has none: its reader says what is wrong with it.
    """
    ending = file.suffix.lower()
    if ending == ".hdr":
        return tuple(place for place in map(file.with_suffix, PAIRED) if place.is_file())
    if ending not in ITK:
        return ()
    try:
        return tuple(place for place in layout(file).files if place != file)
    except (BadDataError, OSError):
        return ()


def with_companions(files: Iterable[str]) -> tuple[str, ...]:
    """Return these paths and those of all files that are read with them, each once, the given ones first."""
    given = tuple(files)
    beside = (str(place) for file in given for place in companions(Path(file)))
    return tuple(dict.fromkeys((*given, *beside)))
