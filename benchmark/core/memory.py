"""How much memory this machine, or the container that the process runs in, has."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The limit of a container, by version 2 and version 1 of Linux's control groups."""
UNKNOWN = 8 * 2**30
"""Bytes that are assumed where the system does not say how much it has."""


@cache
def machine_memory() -> int:
    """Return the bytes of memory of this machine, or those that its container may use where these are fewer."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        installed = UNKNOWN
    return min([installed, *(size for path in CGROUP_LIMITS if (size := _number_in(path)))])


def _number_in(path: Path) -> int:
    """Return the number in a file; 0 where there is none, such as `max` for no limit."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
