"""Digests that a process keeps in memory, of what it has written and of what was there before it started a model.

Whoever may write in a folder can replace a file and the digest next to it together. What a process remembers, nobody
else can replace. Only folders in which no other process writes the same files are noted: a run folder whose lock is
held, and the folder of a detector.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.files import absolute

Digests = tuple[str, ...]

_noted: list[tuple[str, dict[str, Digests]]] = []
"""Each noted folder by its path from the root, with the digests of what is in it."""


@contextmanager
def noted(folder: Path, there: Mapping[Path, Digests]) -> Iterator[None]:
    """Keep the digests of what this process writes below a folder in memory until the block ends, and those `there`."""
    entry = (str(absolute(folder)), {str(absolute(place)): digests for place, digests in there.items()})
    _noted.append(entry)
    try:
        yield
    finally:
        _noted[:] = [one for one in _noted if one is not entry]  # a process may work on equal folders twice


def note(place: Path, digests: Digests) -> None:
    """Remember the digest with which this process has written a file or folder, where it is in a noted folder."""
    for name, below in _around(place):
        below[name] = digests


def forget(place: Path) -> None:
    """Forget what this process has deleted: a file, or a folder with all that was in it."""
    for name, below in _around(place):
        for gone in [one for one in below if one == name or one.startswith(name + os.sep)]:
            del below[gone]


def noted_digests(place: Path) -> Digests:
    """Return the digests with which this process remembers a file or folder; none where it does not."""
    return next((below[name] for name, below in _around(place) if name in below), ())


def _around(place: Path) -> list[tuple[str, dict[str, Digests]]]:
    """Return the path of a file or folder from the root, once for each noted folder that it is in, with its digests."""
    if not _noted:
        return []
    name = str(absolute(place))
    return [(name, below) for folder, below in list(_noted) if name.startswith(folder + os.sep)]
