"""Files that are written completely or not at all, and keys that change with content."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache as cache_once
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import AdapterError, BadDataError, BenchError, MachineError, UsageError
from benchmark.core.leftovers import remove_leftovers_of_cache, temporary_name, visit
from benchmark.core.progress import to_stderr

if TYPE_CHECKING:
    import numpy as np


def content_key(*parts: object, length: int = 16) -> str:
    """Return a hex digest of JSON-serialisable parts; equal parts, equal key, in every process."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_name(text: str) -> str:
    """Return text with all but letters, digits and points as hyphens, fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text)


def absolute(path: Path | str) -> Path:
    """Return a path from the root, without `..`; links stay what they are, unlike with `Path.resolve`."""
    return Path(os.path.normpath(Path(path).absolute()))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` only when the block ends without an error.

    Works for files and folders. Raises MachineError when the disk is full or refuses to be written, or where a limit on
    the size of files is reached.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        visit(path.parent)
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except BenchError:
        raise
    except Exception as error:
        if explained := machine_error(_reason(error, temporary), path):
            raise explained from error
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _reason(error: Exception, temporary: Path) -> Exception:
    """Return why a file could not be written; libraries report a full disk as an error of their own, without a code."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    written = [file for file in (temporary, *temporary.rglob("*")) if file.is_file()]
    try:
        for file in written:
            with file.open("ab") as more:
                more.write(bytes(1 << 16))
    except OSError as refusal:
        return refusal
    return error


def machine_error(error: BaseException, path: Path | str | None = None) -> MachineError | None:
    """Return what a user is told of an error that the machine has caused; nothing for others.

    `path` is the file that was being written, where it is known; else the error may name it.
    """
    if isinstance(error, MemoryError):
        return MachineError("the memory does not suffice", "close other programs, or give a smaller --search-memory")
    if not isinstance(error, OSError):
        return None
    place = path or error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(
            f"the disk is full: {place} could not be written", "free some space and run the same command again"
        )
    if error.errno == errno.EFBIG:
        return MachineError(
            f"{place} would be larger than files may be here", "raise the limit (`ulimit -f`), or take another disk"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = "written" if path or error.errno == errno.EROFS else "opened"
        return MachineError(f"{place} may not be {what}: {error.strerror}", "choose another folder, or its permissions")
    if error.errno in IN_THE_WAY:
        return MachineError(
            f"{place} may not be written: {error.strerror}",
            "move away what has its name, and run the same command again",
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return MachineError("too many files are open", "raise the limit (`ulimit -n`)")
    if error.errno == errno.EIO:
        return MachineError(f"the disk fails at {place}: {error.strerror}", "check the disk, or take another one")
    return None


IN_THE_WAY = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ELOOP)
"""A folder in the place of a file, a file in that of a folder, or links that lead to themselves."""

CACHE_VARIABLE = "MEMOBENCH_CACHE"
CACHE_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of memobench: backups may leave it out. https://bford.info/cachedir/
"""
"""Content of CACHEDIR.TAG, as the Cache Directory Tagging Specification wants it."""


def cache_folder(given: Path | None = None) -> Path:
    """Return the folder of the cache: the one that was given, $MEMOBENCH_CACHE, or memobench's in the user's cache."""
    if given is not None:
        return given
    if place := os.environ.get(CACHE_VARIABLE):
        return Path(place)
    import platformdirs

    return platformdirs.user_cache_path("memobench", appauthor=False)


def private_folder(folder: Path, *, cache: bool = False, inside: Path | str = "") -> Path:
    """Make a folder private: readable by its owner alone, ignored by git, marked; return it. `cache` also tags it.

    A folder that holds files of somebody else stays as it is: it may be a project's own, which git must not ignore as a
    whole. `inside` is the folder below it that will be filled: it is private too, so that it stays so when it is moved,
    and where `folder` is somebody else's, so is the first new folder on the way to it.

    Raises MachineError where it may not be written.
    """
    try:
        places = [folder, *(folder / part for part in reversed([*Path(inside).parents][:-1])), folder / inside]
        first = next((place for place in places if not _is_foreign(place)), None)
        if first is not None:
            _make_private(first, cache=cache and first == folder)
        if inside and first != places[-1] and not _is_foreign(places[-1]):
            _make_private(places[-1], cache=False)
        if inside and first not in (None, folder):
            _say_foreign(folder, places[1])
    except OSError as error:
        raise machine_error(error, folder) or error from error
    return folder


MARKER = "PRIVATE.txt"
MARKER_TEXT = """\
memobench wrote this folder. It may hold images, names or reports of patients: do not publish, commit or e-mail it.
memobench keeps it readable by you alone. To share it with colleagues who may see the patients, change its permissions
and write the word `shared` in a line of its own below: then memobench leaves them as they are.
"""
OWNER_ALONE = 0o700


def _is_foreign(folder: Path) -> bool:
    """Return whether a folder holds files, and has none of the marks that this version, or an earlier one, leaves."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    ignore = folder / ".gitignore"
    return not ((folder / MARKER).is_file() or (ignore.is_file() and ignore.read_bytes().strip() == b"*"))


def _make_private(folder: Path, *, cache: bool) -> None:
    """Create a folder of mode 0700 and its marks, or give them to one that memobench made: copying may lose them."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=OWNER_ALONE)  # a chmod afterwards would leave it open for a moment
    except FileExistsError:
        if any(folder.iterdir()):
            with suppress(OSError):  # of another user who shares it, or on a read-only disk
                _mark(folder, cache=cache)
            return
    _mark(folder, cache=cache)


def _mark(folder: Path, *, cache: bool) -> None:
    """Set the mode of a folder and write the marks that it lacks. A folder on a read-only disk that has them stays."""
    marker = folder / MARKER
    shared = marker.is_file() and "shared" in marker.read_text(encoding="utf-8", errors="replace").splitlines()
    if not shared and stat.S_IMODE(folder.stat().st_mode) != OWNER_ALONE:
        folder.chmod(OWNER_ALONE)  # whatever the umask is
    marks = {MARKER: MARKER_TEXT, ".gitignore": "*\n"} | ({"CACHEDIR.TAG": CACHE_TAG} if cache else {})
    for name, text in marks.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")


@cache_once
def _say_foreign(folder: Path, inside: Path) -> None:
    to_stderr(f"{folder} holds other files, so its permissions stay as they are; {inside} can be read by you alone")


LAYOUT = 2
"""Version of the folders in a cache: raise it when their names or contents change, so that none is read wrongly."""


def require_layout(folder: Path, what: str, parts: Sequence[str]) -> None:
    """Create a private folder, or mark it with this version's layout. Raises UsageError where another version wrote it.

    `what` names the folder's option; a folder without a mark that holds any of `parts` is of layout 1.
    """
    foreign = _is_foreign(folder)
    private_folder(folder, cache=True)
    remove_leftovers_of_cache(folder)
    mark = folder / "layout.json"
    if not mark.exists() and not any((folder / part).exists() for part in parts):
        write_json(mark, LAYOUT)
    layout = _layout(mark) if mark.exists() else 1
    if layout != LAYOUT:
        raise UsageError(
            f"{folder} was written by another version of memobench (layout {layout}; this version reads {LAYOUT})",
            f"delete the folder, or give another one with --{what}",
        )
    for part in parts if foreign else ():
        private_folder(folder, inside=part)


def _layout(mark: Path) -> object:
    """Return the version that a cache is marked with; a text that is none where the mark cannot be read."""
    try:
        return read_json(mark, int)
    except BadDataError:
        return "unreadable"


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused with ValueError."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, kind: type[Any] = object) -> Any:
    """Read JSON. Raises BadDataError naming the file when it is cut off, not JSON, of another kind, or not readable."""
    try:
        return json_of(read_regular(path), path, kind)
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}", f"delete it; {REWRITTEN}") from error


def read_regular(path: Path) -> bytes:
    """Return the content of a file. Raises OSError, and BadDataError for a folder, a pipe or a device, unread."""
    # O_NONBLOCK: opening a pipe would wait for somebody who writes. What was opened is then looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadDataError(
                f"{path} is not a file but a folder, a pipe or a device", "move it away, and run the same command again"
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read()
    finally:
        os.close(descriptor)


REWRITTEN = "the next run writes it again"
KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number"}


def json_of(content: bytes, path: Path, kind: type[Any] = object) -> Any:
    """Return the JSON in the content of a file. Raises BadDataError naming the file where it is not of this kind."""
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{path} is not readable JSON: {error}", f"delete it; {REWRITTEN}") from error
    if not isinstance(value, kind):
        raise BadDataError(
            f"{path} does not hold {KINDS[kind]} of JSON but {type(value).__name__}", f"delete it; {REWRITTEN}"
        )
    return value


def write_arrays(path: Path, **arrays: np.ndarray[Any, Any]) -> None:
    """Write arrays by name (npz), completely or not at all."""
    import numpy as np

    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read arrays by name from a model's file. Raises AdapterError naming the file when it cannot be read."""
    from zipfile import BadZipFile

    import numpy as np

    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise AdapterError(f"{path} cannot be read: {error}", "train the model again") from error
