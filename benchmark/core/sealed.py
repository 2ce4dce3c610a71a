"""Sealed files and folders: written whole, with a digest next to them that is checked whenever they are opened.

The digest finds what a disk, a copy or another program changed by accident. Whoever changes a file on purpose can write
a new digest, too: in folders that are noted (`core.noted`), the digest that this process remembers is what counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError, DamagedError
from benchmark.core.file_digests import file_digest
from benchmark.core.files import atomic_write, json_of, read_regular
from benchmark.core.noted import forget, note, noted, noted_digests

ENDING = ".seal"
AGAIN = "run the same command again: it is made again"


@contextmanager
def sealed_write(place: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder; when the block ends, seal it and rename it to `place`.

    Raises MachineError as `atomic_write` does.
    """
    with atomic_write(place) as temporary:
        yield temporary
        new = digest(temporary)
        # Until the rename is done, both are accepted: a process that is killed in between leaves an intact file.
        _write_seal(place, (*seals(place), new))
    _write_seal(place, (new,))


def write_sealed_json(path: Path, value: Any) -> None:
    """Write sealed JSON; NaN and infinities are refused with ValueError."""
    with sealed_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_sealed_json(path: Path, advice: str = AGAIN, kind: type[Any] = object) -> Any:
    """Read sealed JSON. Raises DamagedError with this advice where it is missing or changed, and as `json_of` does."""
    before = seals(path)
    try:
        content = read_regular(path)
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing", advice) from None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}", advice) from error
    except BadDataError as error:
        raise DamagedError(error.message, advice) from None
    # What is parsed is what was compared: the file may be replaced between two readings.
    if hashlib.sha256(content).hexdigest() not in (*before, *seals(path)):
        raise DamagedError(f"{path} {why_damaged(path)}", advice)
    return json_of(content, path, kind)


def is_intact(place: Path) -> bool:
    """Whether a sealed file or folder exists and is as it was written: in a folder, no file more or less.

    Another process may replace it meanwhile. It writes both digests, renames, and writes the new digest alone: the old
    content has the digest that was there before it was read, the new content the one that is there afterwards.
    """
    before = seals(place)
    return place.exists() and digest(place) in (*before, *seals(place))


def require_intact(place: Path, advice: str = AGAIN) -> Path:
    """Return the path. Raises DamagedError where the file or folder is missing, was never sealed, or has changed."""
    if not is_intact(place):
        raise DamagedError(f"{place} {why_damaged(place)}", advice)
    return place


def require_unchanged(place: Path, advice: str = AGAIN) -> Path:
    """Return the path. Raises DamagedError where a file has a digest next to it and another content.

    For files that may be copied elsewhere alone, without their digest, such as records.
    """
    if place.exists() and seals(place) and not is_intact(place):
        raise DamagedError(f"{place} {why_damaged(place)}", advice)
    return place


def sealed_place(seal: Path) -> Path | None:
    """Return the file or folder whose digest a file holds; nothing for a file that holds none."""
    name = seal.name
    return seal.with_name(name[1 : -len(ENDING)]) if name.startswith(".") and name.endswith(ENDING) else None


def why_damaged(place: Path) -> str:
    """Say, after the name of a place that is not intact, what is wrong with it."""
    if not place.exists():
        return "is missing"
    return "has changed since it was written" if seals(place) else "has no digest next to it"


def digest(place: Path) -> str:
    """Return the SHA-256 of a file's bytes; of a folder, that of the names and digests of all its files.

    A pipe or a device in the place of a file has none: reading it may never end.
    """
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file())
        text = "\n".join(f"{digest(path)} {path.relative_to(place).as_posix()}" for path in files)
        return hashlib.sha256(text.encode()).hexdigest()
    return file_digest(place) if place.is_file() or not place.exists() else ""


def seals(place: Path) -> tuple[str, ...]:
    """Return the digests with which a place is intact: one, or two while it is being replaced; none if never sealed.

    Those in memory count, where there are any.
    """
    if own := noted_digests(place):
        return own
    path = _seal(place)
    try:
        return tuple(read_regular(path).decode("ascii").split())
    except (OSError, UnicodeDecodeError, BadDataError):
        return ()


def unsealed_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that have no digest and are in no sealed folder, in the order of their names."""
    for place, below, names in os.walk(folder):
        here = Path(place)
        below[:] = sorted(name for name in below if not seals(here / name))
        yield from (here / name for name in sorted(names) if not seals(here / name) and not sealed_place(here / name))


def seal(place: Path) -> None:
    """Write the digest of a file that something else has written."""
    _write_seal(place, (digest(place),))


def remove_sealed(place: Path) -> None:
    """Delete a sealed file or folder and its digest, where they exist."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    _seal(place).unlink(missing_ok=True)
    forget(place)


@contextmanager
def noting(folder: Path) -> Iterator[None]:
    """Note a folder (`core.noted`) until the block ends, with the digests of what it holds now."""
    # Not rglob: it raises where another process removes a folder meanwhile, as one that fits the same detector does.
    paths = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    places = (place for path in paths if (place := sealed_place(path)))
    with noted(folder, {place: digests for place in places if (digests := seals(place))}):
        yield


def _seal(place: Path) -> Path:
    return place.with_name(f".{place.name}{ENDING}")


def _write_seal(place: Path, digests: tuple[str, ...]) -> None:
    with atomic_write(_seal(place)) as temporary:
        temporary.write_text("\n".join(digests) + "\n", encoding="ascii")
    if len(digests) == 1:  # it is written: what is being replaced still has the digest that it had
        note(place, digests)
