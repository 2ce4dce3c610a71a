"""Temporary files that killed processes left behind: who wrote one is in its name, so that no living one loses a file.

A name ends with the computer, the number of the process, and a random number: `.NAME.HOST-PID-RANDOM.part`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

ENDING = ".part"
OWNED = re.compile(r"\..+\.(?:(?P<host>[0-9a-f]{8})-)?(?P<process>[0-9]+)-[0-9a-f]{8}\.part")
"""Names of before this version have no host."""
ABANDONED_SECONDS = 3600.0
"""Age from which a file of another computer is removed where the folder's lock is ours: its process holds no lock, and
writes nothing any more. Thirty times the lease of a lock."""


def temporary_for(path: Path) -> Path:
    """Return a name next to a path for what is written before it takes the path's place."""
    # Process numbers repeat between the nodes of a cluster, and in containers nearly always.
    return path.with_name(f".{path.name}.{host()}-{os.getpid()}-{secrets.token_hex(4)}{ENDING}")


@cache
def host() -> str:
    """Return eight digits for this computer, and for the container, which counts its own processes."""
    with suppress(OSError):
        return hashlib.sha256(f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:8]
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def remove_leftovers(folder: Path, *, locked: bool = False) -> list[Path]:
    """Remove temporary files and folders of dead processes at and below a folder, and return them.

    Those of another computer cannot be told from those of a living process: they stay, unless `locked` says that the
    lock of the folder is ours, and they are as old as `ABANDONED_SECONDS`.
    """
    return _remove((place for place in folder.rglob(f".*{ENDING}")), locked=locked)


def remove_leftovers_of_cache(folder: Path) -> list[Path]:
    """Remove those of dead processes of this computer in a cache, without a search of its prepared folders."""
    depths = ("*/", "*/*/", "*/*/*/")
    return _remove((place for depth in depths for place in folder.glob(f"{depth}.*{ENDING}")), locked=False)


def _remove(places: Iterable[Path], *, locked: bool) -> list[Path]:
    dead = [place for place in list(places) if _is_dead(place, locked=locked)]
    for place in dead:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            with suppress(OSError):
                place.unlink(missing_ok=True)
    return dead


def _is_dead(place: Path, *, locked: bool) -> bool:
    owner = OWNED.fullmatch(place.name)
    if owner is None:  # of another program
        return False
    if owner["host"] == host():
        return not _is_alive(int(owner["process"]))
    return locked and _age(place) > ABANDONED_SECONDS


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing: it only tells whether there is such a process
    except ProcessLookupError:
        return False
    except OSError:  # there is one, of another user
        return True
    return True


def _age(place: Path) -> float:
    try:
        return time.time() - place.lstat().st_mtime
    except OSError:
        return 0.0
