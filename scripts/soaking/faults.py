"""What goes wrong in `scripts/soak.py`: signals, kills, files that change, and a disk that is full."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command with a message."""
FOLDERS = ("cache", "runs", "sweeps", "audits")


def kill_something(process: int, rng: random.Random) -> str:
    """Kill a command, or one of the processes that it has started."""
    victim = rng.choice([process, *descendants(process)])
    os.kill(victim, signal.SIGKILL)
    return "kill of the command" if victim == process else "kill of a worker"


def stop(process: int, rng: random.Random) -> str:
    """Send a command a signal that asks it to end."""
    number = rng.choice(STOPPING)
    os.kill(process, number)
    return number.name


def descendants(process: int) -> list[int]:
    """Return the processes below one, from /proc."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    children = [int(name) for name in text.split()]
    return children + [below for child in children for below in descendants(child)]


def damage_a_file(folder: Path, rng: random.Random) -> str:
    """Change one file below the cache, the runs, the sweeps or the audits; empty where there is none."""
    files = sorted(path for name in FOLDERS for path in (folder / name).rglob("*") if path.is_file())
    path = rng.choice(files) if files else None
    if path is None:
        return ""
    way = rng.choice(WAYS)
    try:
        way(path, files, rng)
    except (FileNotFoundError, FileExistsError):  # a command has just removed it, or made it again
        return ""
    return f"{way.__name__.strip('_')} of {path.relative_to(folder)}"


def _flip(path: Path, _files: list[Path], rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.sample(range(len(content)), min(8, len(content))):
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, _files: list[Path], rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size + 1))


def _removal(path: Path, _files: list[Path], _rng: random.Random) -> None:
    path.unlink()


def _swap(path: Path, files: list[Path], rng: random.Random) -> None:
    """Put another file of the same kind in the place of this one."""
    shutil.copyfile(rng.choice([other for other in files if other.suffix == path.suffix]), path)


def _empty(path: Path, _files: list[Path], _rng: random.Random) -> None:
    os.truncate(path, 0)


def _folder(path: Path, _files: list[Path], _rng: random.Random) -> None:
    """Put an empty folder in the place of a file."""
    path.unlink()
    path.mkdir()


def _pipe(path: Path, _files: list[Path], _rng: random.Random) -> None:
    """Put a pipe, from which nobody ever reads anything, in the place of a file."""
    path.unlink()
    os.mkfifo(path)


WAYS: tuple[Callable[[Path, list[Path], random.Random], None], ...] = (
    _flip, _flip, _flip, _cut, _removal, _swap, _empty, _folder, _pipe,
)  # fmt: skip


def fill_disk(rng: random.Random) -> str:
    """Let this process, and those it starts, write no file beyond some size, as on a disk that is full."""
    limit = int(2 ** rng.uniform(8, 21))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return "full disk"
