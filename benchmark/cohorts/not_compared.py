"""The files of a folder that nothing was compared with: nobody knows what they show, so that they are no all-clear."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.files import absolute
from benchmark.images.readers import READERS
from benchmark.images.walk import FOREIGN, SIDE, SIDE_NAMES, ending_of, is_desktop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TENSORS = frozenset((".pt", ".pth"))
"""Files that accompany images in a data set, but may hold images where a model wrote them."""
MAC_COPY = "._"
"""How the names of files begin that macOS writes next to others, with their ending and without their image."""


def not_compared(folder: Path, compared: Iterable[str]) -> tuple[Path, ...]:
    """Return the files below a folder that may hold images and are not among those that were compared, sorted.

    Whatever the reason: no reader opens them, the file is broken, its name is hidden, that of a segmentation, or not
    UTF-8, or an option left it out. Text, tables and what desktops leave behind do not count.

    Args:
        folder: as it was given; links are followed, each real folder once.
        compared: paths of files that were compared.
    """
    known = {absolute(file) for file in compared}
    return tuple(sorted(file for file in _files(folder) if file not in known and may_be_image(file.name)))


def may_be_image(name: str) -> bool:
    """Return whether a file of this name may hold an image, or an archive of images."""
    ending = ending_of(name)
    if ending in TENSORS:
        return True
    if is_desktop(name):  # a hidden image is one
        return ending in READERS.keys() | FOREIGN and not name.startswith(MAC_COPY)
    return ending not in SIDE and name.lower() not in SIDE_NAMES


def _files(folder: Path) -> Iterator[Path]:
    visited = set()
    for place, below, names in os.walk(absolute(folder), followlinks=True):
        real = os.path.realpath(place)
        if real in visited:  # a link back up would never end
            below.clear()
            continue
        visited.add(real)
        yield from (Path(place) / name for name in names)
