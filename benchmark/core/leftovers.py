"""Temporary files and folders: whose they are, and the removal of those whose process no longer lives.

A file that is being written is named `.NAME.HOST-PID-START-RANDOM.part`. HOST is a digest of machine, boot and
namespace of process numbers, and START the time at which the process began: process numbers repeat between the nodes of
a cluster, in containers and over time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

JOURNAL = "BENCH_JOURNAL"
"""Environment variable: a file to which every process of a command adds the folders that it writes in."""
FOREIGN_SECONDS = 24 * 3600.0
"""Age at which a temporary file of another machine counts as left over: nothing here is written for so long."""
_NAME = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]+)-([0-9a-f]+)-[0-9a-f]{8}\.part")

_visited: set[tuple[int, Path]] = set()


def temporary_name(name: str) -> str:
    """Return a name for what this process is about to write and to rename to `name`."""
    pid = os.getpid()
    return f".{name}.{_host()}-{pid}-{_started(pid)}-{secrets.token_hex(4)}.part"


def visit(folder: Path) -> None:
    """Remove what dead processes left in a folder, and tell the command's journal of it; once per process."""
    place = (os.getpid(), folder)
    if place in _visited:
        return
    _visited.add(place)
    remove_leftovers(folder)
    if journal := os.environ.get(JOURNAL):
        try:
            with Path(journal).open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{folder.absolute()}\n")
        except OSError:  # a full disk, or another node: then the next start removes what is left
            return


def visited(journal: Path) -> list[Path]:
    """Return the folders that a journal names, each once."""
    lines = journal.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [Path(line) for line in dict.fromkeys(lines) if line]


def remove_leftovers(folder: Path, *, below: bool = False, foreign: bool = True) -> None:
    """Remove the temporary files and folders of dead processes in a folder; with `below`, in all folders below too.

    `foreign` is whether those of other machines go by their age: not where they are in use for longer than a day.
    """
    parts = folder.rglob(".*.part") if below else folder.glob(".*.part")
    try:
        for part in list(parts):
            if _left_over(part, foreign):
                _remove(part)
    except OSError:  # a folder that cannot be read, or that another process removes meanwhile
        return


def remove_working_folders() -> None:
    """Remove the folders for temporary work of this machine's dead processes, such as those of models."""
    remove_leftovers(Path(tempfile.gettempdir()), foreign=False)  # a training may take longer than a day


def remove_leftovers_of_cache(folder: Path) -> None:
    """Remove those of dead processes in a cache, without a search of its prepared folders."""
    for depth in ("*", "*/*", "*/*/*"):
        for place in folder.glob(depth):
            if place.is_dir():
                remove_leftovers(place)


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _left_over(part: Path, foreign: bool) -> bool:
    match = _NAME.fullmatch(part.name)
    if match is None:  # of another program
        return False
    if match[1] == _host():
        return _started(int(match[2])) != match[3]
    try:
        return foreign and time.time() - part.lstat().st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


@lru_cache(maxsize=1)
def _host() -> str:
    """Return a digest of what process numbers are unique in: machine, boot, and namespace."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        unique = (boot.read_text(encoding="ascii"), str(namespace.readlink()))
    except OSError:  # not Linux
        unique = ("", "")
    return hashlib.sha256("\n".join((platform.node(), *unique)).encode()).hexdigest()[:8]


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the boot; `0` where the system does not say, empty for a dead one."""
    try:
        state, started = _stat(pid)
        return "" if state in "ZX" else started
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "0"


def _stat(pid: int) -> tuple[str, str]:
    # The second field is the name in brackets, which may hold anything: the others begin behind the last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return fields[0], f"{int(fields[19]):x}"
