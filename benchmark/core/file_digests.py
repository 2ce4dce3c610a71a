"""SHA-256 of a file; one that has not changed since is not read again.

A digest is remembered with what the file system says of the file. An unchanged size and time of content are not enough,
because a program can set both: the number of the file (inode) and the time of its state (ctime) must be unchanged, too.
No program can set the latter. A digest is remembered only of a file that was not written for `SETTLED_SECONDS`: a later
write could otherwise happen within one tick of the file system's clock, and leave the same times.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

Stamp = tuple[int, int, int, int, int]

SETTLED_SECONDS = 2.0
"""The coarsest clock of the usual file systems (FAT); those of Linux count in steps of 1 to 10 ms, NFS 3 in seconds."""

_known: dict[str, tuple[Stamp, str]] = {}
"""Digest of each file by its path from the root, with its stamp."""


def stamp_of(path: Path) -> Stamp:
    """Return what changes with every write: device, number of the file, size, times of content and state in ns."""
    state = path.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises OSError."""
    name, stamp = str(path.absolute()), stamp_of(path)
    if (known := _known.get(name)) and known[0] == stamp:
        return known[1]
    started = time.time_ns()
    with path.open("rb") as file:
        value = hashlib.file_digest(file, "sha256").hexdigest()
    if stamp[-1] + SETTLED_SECONDS * 1e9 < started and stamp_of(path) == stamp:
        _known[name] = stamp, value
    else:
        _known.pop(name, None)
    return value


def known_digest(path: Path) -> tuple[Stamp, str] | None:
    """Return the stamp and digest of a file where they are remembered and it has not changed since. Raises OSError."""
    known = _known.get(str(path.absolute()))
    return known if known and known[0] == stamp_of(path) else None


def remember(name: str, stamp: Stamp, digest: str) -> None:
    """Take over what another process has read, unless this one has read the file itself."""
    _known.setdefault(name, (stamp, digest))
