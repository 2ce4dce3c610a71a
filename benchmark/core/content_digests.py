"""Digests of the content of what others wrote: images, weights, tables, and all that options name.

They are kept between processes by what the file system says of the files (`core.file_digests`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import MachineError
from benchmark.core.file_digests import file_digest, known_digest, remember
from benchmark.core.files import absolute, content_key
from benchmark.core.sealed import is_intact, read_sealed_json, write_sealed_json

READ_AGAIN = "MEMOBENCH_READ_AGAIN"
"""Environment variable, 1 to read every file again, whatever the file system says of it (`bench --read-again`)."""
BOOKKEEPING = frozenset((".git", "__pycache__"))
WORTH_THREADS = 16
"""Files below which threads take longer to start than they save."""


def file_digests(paths: Iterable[Path], *, kept: Path | None = None, save: bool = True) -> dict[Path, str]:
    """Return the SHA-256 of each file, read by all cores.

    Args:
        paths: of files.
        kept: a sealed file that remembers the digests between processes; nothing is kept where none is given.
        save: whether to write it.

    Raises OSError for a file that cannot be read.
    """
    files = list(dict.fromkeys(paths))
    before = _remember(kept) if kept else {}
    known = {path: known_digest(path) for path in files}
    digests = {path: entry[1] for path, entry in known.items() if entry}
    digests |= _read([path for path, entry in known.items() if not entry])
    if kept and save and not (len(before) == len(files) and all(known.values())):
        _keep(kept, files, before)
    return {path: digests[path] for path in files}


def _read(files: list[Path]) -> dict[Path, str]:
    if len(files) < WORTH_THREADS:
        return {path: file_digest(path) for path in files}
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="digest") as pool:
        return dict(zip(files, pool.map(file_digest, files), strict=True))


def tree_digest(place: Path, *, kept: Path | None = None) -> str:
    """Return the SHA-256 of a file; of a folder, one of the names and contents of all its files, hidden ones too.

    Only what git and Python keep for themselves is left out. Raises OSError for a file that cannot be read.
    """
    if not place.is_dir():
        return file_digests([place], kept=kept)[place]
    below = (path for path in place.rglob("*") if not set(path.relative_to(place).parts) & BOOKKEEPING)
    files = sorted(path for path in below if path.is_file())
    digests = file_digests(files, kept=kept)
    text = "\n".join(f"{digests[path]} {path.relative_to(place).as_posix()}" for path in files)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def kept_in(cache: Path, place: Path) -> Path:
    """Return the file of a cache that remembers the digests of the files of a folder."""
    return cache / "digests" / f"{content_key(str(absolute(place)))}.json"


def option_digests(options: object, *, cache: Path | None = None, folders: bool = True) -> dict[str, str]:
    """Return the digest of the content of each file or folder that an option names, by the option's name.

    An option names a file where its text is the path of one that exists: whatever the option is called, and
    of whichever plugin, what it names is in the key.

    Args:
        options: a dataclass or a mapping; values may be nested.
        cache: where digests are remembered between processes.
        folders: whether folders count: those of a data set do not, since its sources list what is read of them.

    Raises OSError for a file that cannot be read.
    """
    named = {}
    for name, value in _items(options):
        if isinstance(value, str | os.PathLike):
            place = Path(value)
            if str(value) and _exists(place) and (folders or place.is_file()):
                named[name] = tree_digest(place, kept=kept_in(cache, place) if cache else None)
        elif is_dataclass(value) or isinstance(value, Mapping | list | tuple):
            below = option_digests(value, cache=cache, folders=folders)
            named |= {f"{name}.{inner}": digest for inner, digest in below.items()}
    return named


def _items(options: object) -> list[tuple[str, Any]]:
    if is_dataclass(options):
        return [(field.name, getattr(options, field.name)) for field in fields(options)]
    if isinstance(options, Mapping):
        return [(str(name), value) for name, value in options.items()]
    if isinstance(options, list | tuple):
        return [(str(number), value) for number, value in enumerate(options)]
    return []  # a class that is no dataclass has no options


def _exists(place: Path) -> bool:
    try:
        return place.is_file() or place.is_dir()
    except (OSError, ValueError):  # a text that is too long for a name, or holds a zero byte
        return False


def _remember(kept: Path) -> dict[str, Any]:
    """Take over what an earlier process has read, and return it; what was changed meanwhile is ignored."""
    if os.environ.get(READ_AGAIN) == "1" or not kept.exists() or not is_intact(kept):
        return {}
    entries: dict[str, Any] = read_sealed_json(kept)
    try:
        for name, (*stamp, digest) in entries.items():
            remember(name, tuple(stamp), digest)
    except (AttributeError, TypeError, ValueError):  # it costs time, and no result
        return {}
    return entries


def _keep(kept: Path, files: Iterable[Path], before: Mapping[str, Any]) -> None:
    """Write the digests of these files that may be remembered, and those of others of the same folder."""
    entries = dict(before) | {
        str(path.absolute()): [*known[0], known[1]] for path in files if (known := known_digest(path))
    }
    with suppress(OSError, MachineError):  # a cache that cannot be written costs time, and no result
        write_sealed_json(kept, entries)
