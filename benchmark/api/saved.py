"""Sets of images in memory as files of one folder each, so that an audit of arrays is an audit of folders.

An audit prepares, resumes, opens again at full size and lists its images by file. Arrays are therefore written as one
.npy file per image, which loses nothing, and go the same way: the numbers are those of the command line because there
is no second way. The files are in a folder that only its owner can read and that is removed with the result.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.arrays import as_array, axes_of, grey_image, letters_of, of_side
from benchmark.api.images import entries_of, image_of, is_file, is_folder, with_first
from benchmark.api.ranges import Range, Values, require_alike, require_inside, stated_ranges
from benchmark.core.errors import BadDataError, UsageError
from benchmark.images.readers import is_dicom, suffix

if TYPE_CHECKING:
    from benchmark.core.types import Array

UNIT: Range = (0.0, 1.0)
"""The range to which sets with different stated ranges are scaled."""


@dataclass(frozen=True)
class Axes:
    """What the user says of the axes of images."""

    layout: Any = None
    """Such as `NCHW`, or one per set."""
    channels: Any = None
    """Number of a channel, or `grey`, or one per set."""
    key: str = "image"
    """The key of the image in entries that are dicts."""


@dataclass(frozen=True)
class SavedSet:
    """A set of images in a folder."""

    folder: Path
    names: Mapping[str, int | str] | None = None
    """Names of files to what the user calls them: numbers of images in arrays, paths in lists of files. None for a
    folder that the user gave."""
    arrays: bool = False

    def name(self, file: str) -> int | str:
        """Return what the user calls a file of this set."""
        return file if self.names is None else self.names.get(file, file)


@dataclass(frozen=True)
class _Opened:
    """A set of which the first entry has been looked at."""

    side: str
    first: Any
    entries: Iterator[Any]

    @property
    def files(self) -> bool:
        return is_file(self.first)


def save_sets(given: Mapping[str, Any], folder: Path, axes: Axes, value_range: Any) -> tuple[dict[str, SavedSet], str]:
    """Return each set as a folder, and the window of the values: empty where files say it, or each image.

    Args:
        given: sets by name, the training images first.
        folder: where sets that are no folders are written.
        axes: of arrays.
        value_range: the user's argument, see `stated_ranges`.

    Raises UsageError and BadDataError where axes, channels or ranges are not certain.
    """
    folders = {side: SavedSet(Path(one)) for side, one in given.items() if is_folder(one, side)}
    opened = {
        side: _Opened(side, *with_first(entries_of(one, side), side))
        for side, one in given.items()
        if side not in folders
    }
    arrays = [one for one in opened.values() if not one.files]
    if value_range is not None and len(arrays) < len(given):
        raise UsageError(
            "value_range is for arrays, and files were given", "for files, use options={'window': 'LOW,HIGH'}"
        )
    ranges = stated_ranges(value_range, {one.side: _kind(one, axes) for one in arrays})
    different = len(set(ranges.values())) > 1
    values = {one.side: Values(ranges.get(one.side)) for one in arrays}
    saved = {
        one.side: _link(one, folder / one.side)
        if one.files
        else _save(one, folder / one.side, axes, values[one.side], scaled=different)
        for one in opened.values()
    }
    require_inside(values)
    if not ranges and len(values) > 1:
        require_alike(values)
    return {side: folders.get(side) or saved[side] for side in given}, _window(ranges)


def _window(ranges: Mapping[str, Range]) -> str:
    """Return the option `window` of the data set: the stated range; uint8 alone are levels already."""
    if not ranges:
        return ""
    low, high = next(iter(ranges.values())) if len(set(ranges.values())) == 1 else UNIT
    return f"{low!r},{high!r}"


def _kind(opened: _Opened, axes: Axes) -> str:
    return as_array(image_of(opened.first, axes.key, f"{opened.side}[0]"), f"{opened.side}[0]").dtype.name


def _save(opened: _Opened, folder: Path, axes: Axes, values: Values, *, scaled: bool) -> SavedSet:
    folder.mkdir(parents=True)
    names: dict[str, int | str] = {}
    for number, image in enumerate(_images(opened, axes)):
        values.add(image)
        if scaled and values.stated:
            image = _scaled(image, values.stated)
        # The side is in the name: a table of patients then has no two files of one name.
        path = folder / f"{opened.side}-{number:06d}.npy"
        np.save(path, image, allow_pickle=False)
        _stamp(path, image)
        names[path.name] = number
    return SavedSet(folder, names, arrays=True)


def _images(opened: _Opened, axes: Axes) -> Iterator[Array]:
    """Yield each image as (H, W) or (D, H, W). Raises UsageError where two are not read in the same way."""
    stated = letters_of(of_side(axes.layout, opened.side))
    channels = of_side(axes.channels, opened.side)
    before = ""
    for number, entry in enumerate(opened.entries):
        where = f"{opened.side}[{number}]"
        if is_file(entry):
            raise BadDataError(f"{where} is a path, and those before are images", "give paths only, or images only")
        array = as_array(image_of(entry, axes.key, where), where)
        letters = axes_of(array.shape, stated, where)
        if before and letters != before:
            raise UsageError(
                f"{where} would be read as {letters}, shape {array.shape}, and those before as {before}",
                "say what the axes are: layout='NCHW', for example",
            )
        before = letters
        yield np.ascontiguousarray(grey_image(array, letters, channels, where))


def _scaled(image: Array, ends: Range) -> Array:
    """Scale an image of any shape from its range to UNIT, float32."""
    unit: Array = ((image.astype(np.float64) - ends[0]) / (ends[1] - ends[0])).astype(np.float32)
    return unit


def _stamp(path: Path, image: Array) -> None:
    """Set a file's time of change to a digest of its image.

    A cache knows files by name, size and time of change: the same images are then found again by another audit, and
    other images of the same size never are.
    """
    digest = hashlib.sha256(image.tobytes() + f"{image.shape} {image.dtype}".encode()).digest()
    moment = int.from_bytes(digest[:7], "big")  # nanoseconds: 2 ** 56 are two years
    os.utime(path, ns=(moment, moment))


def _link(opened: _Opened, folder: Path) -> SavedSet:
    """Return a folder of links to the files of a list: two of them may have one name."""
    folder.mkdir(parents=True)
    names: dict[str, int | str] = {}
    for number, entry in enumerate(opened.entries):
        where = f"{opened.side}[{number}]"
        if not is_file(entry) or not Path(entry).is_file():
            raise BadDataError(f"{where} is {str(entry)!r}, and no file", "give paths of files only, or images only")
        path = Path(entry).absolute()
        if is_dicom(path):
            raise UsageError(
                f"{where} is the DICOM file {path}, and the files of a series are read together", "give their folder"
            )
        name = f"{opened.side}-{number:06d}{suffix(path)}"
        _link_or_copy(path, folder / name)
        names[name] = str(entry)
    return SavedSet(folder, names)


def _link_or_copy(path: Path, place: Path) -> None:
    try:
        place.symlink_to(path)
    except OSError:  # Windows may not make links
        shutil.copy2(path, place)
