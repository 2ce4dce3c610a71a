"""All that a process has started, in whatever session it is: found by the numbers of parents in /proc, and ended.

A process whose parent has ended is given to its nearest ancestor that has asked for it, else to the first process of
the system. `adopt_orphans` asks for it, so that no descendant is lost. Linux only: elsewhere there is no such request.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""The number of this request in <sys/prctl.h>."""
PROC = Path("/proc")
SECONDS = 1.0
"""How long descendants are looked for: one that is being ended may just have started another. One that waits for a disk
or a driver cannot be ended, and rounds would be longer the more processes the machine has."""
PAUSE = 0.005


def adopt_orphans() -> bool:
    """Ask the system for processes whose parents have ended; return whether it has that."""
    if sys.platform != "linux":
        return False
    refused: int = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return not refused


def end_descendants(root: int) -> None:
    """End every process that a process, or one that it has started, has started; the process itself stays."""
    until = time.monotonic() + SECONDS
    while alive := descendants(root):
        for number in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        if time.monotonic() > until:
            return
        time.sleep(PAUSE)


def descendants(root: int) -> list[int]:
    """Return the numbers of the processes below a process that have not ended; none where there is no /proc."""
    children: dict[int, list[int]] = defaultdict(list)
    ended = set()
    for number, parent, state in _processes():
        children[parent].append(number)
        if state in "ZX":
            ended.add(number)
    below, left = list[int](), [root]
    while left:
        own = children.pop(left.pop(), [])
        below += own
        left += own
    return [number for number in below if number not in ended]


def _processes() -> list[tuple[int, int, str]]:
    """Return number, parent and state of every process."""
    told = []
    for place in PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):  # it has just ended
            state, parent = place.read_text(errors="replace").rpartition(")")[2].split()[:2]
            told.append((int(place.parent.name), int(parent), state))
    return told
