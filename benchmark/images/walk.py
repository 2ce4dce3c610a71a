"""The files below a folder: each real folder and file once, with a count of what cannot be an image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers import READERS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FOREIGN = _words(
    ".mgz .mgh .mnc .minc .par .rec .bmp .gif .webp .heic .jp2 .jls .svs .ndpi .avi .mp4 .mat .7z .zip .tar "
    ".gz .tgz .bz2 .rar .zst .pkl .pickle .tfrecord .lmdb .parquet .arrow"
)
"""Endings of images that no reader opens, and of archives that may hold some: they are named apart."""
SIDE = _words(
    ".txt .json .jsonl .csv .tsv .xml .md .rst .pdf .doc .docx .xls .xlsx .ods .html .htm .yaml .yml .toml .ini .cfg "
    ".bval .bvec .log .py .ipynb .m .sh .bat .exe .inf .url .img .raw .zraw .pt .pth .ckpt .safetensors .onnx .bin "
    ".sha256 .md5 .lock .bib .tex"
)
"""Endings of files that accompany images; raw data of MetaImage, NRRD and Analyze are read through their headers."""
TABLES = (".csv", ".tsv")
SIDE_NAMES = _words(
    "dicomdir readme license licence changes changelog citation manifest version authors notice lockfile"
)
"""Files without an ending that are known by their name, in lower case."""
DESKTOP_NAMES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
DESKTOP_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "recycler", "system volume information", "lost+found")
)
DESKTOP_ENDINGS = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".bak", ".swp", "~")
DESKTOP = "hidden and desktop files"
OTHER = "other endings"
NO_ENDING = "no ending"
"""Names of counts. Counts reach records, and an ending that is not listed above may hold a patient's name."""

_Identity = tuple[int, int]


@dataclass
class Walk:
    """What is below one folder. All names are paths below it, with forward slashes."""

    root: Path
    files: list[str] = field(default_factory=list)
    """Files that may be images by their names, sorted; a second name of a file in the same folder is left out."""
    same: dict[str, str] = field(default_factory=dict)
    """Names in `files` of a file that another name in `files` stands for, mapped to that name (links, hard links)."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by ending."""
    tables: list[str] = field(default_factory=list)
    """Names of CSV and TSV files, which are counted as skipped, too."""
    twice: list[str] = field(default_factory=list)
    """Second names of a file in the folder of its first name."""
    linked: list[str] = field(default_factory=list)
    """Links to folders that are read under another name, or that contain the root."""
    unreadable: list[str] = field(default_factory=list)
    """Folders and files that cannot be opened."""
    broken: list[str] = field(default_factory=list)
    """Links to files that do not exist."""
    undecodable: list[str] = field(default_factory=list)
    """Folders and files whose names are not UTF-8, their bytes as `\\xff`: no table can contain such names."""

    def path(self, name: str) -> Path:
        """Return the path of a name."""
        return self.root / name

    def remarks(self) -> dict[str, list[str]]:
        """Return what was skipped: sentences that hold numbers only, each with the names it is about."""
        foreign = Counter({ending: count for ending, count in self.skipped.items() if ending in FOREIGN})
        others = self.skipped - foreign
        counted = {"not images": others, "in formats that cannot be read": foreign}
        remarks: dict[str, list[str]] = {
            f"skipped, {what}: {_counts(counts)}": [] for what, counts in counted.items() if counts
        }
        named = {
            "skipped, links to folders that are read already": self.linked,
            "skipped, second names of one file": self.twice,
            "left out, folders and files that cannot be opened": self.unreadable,
            "left out, links to files that do not exist": self.broken,
            "left out, folders and files whose names are not UTF-8 (rename them)": self.undecodable,
        }
        return remarks | {what: names for what, names in named.items() if names}

    def require_readable(self) -> None:
        """Raise BadDataError where a folder or file cannot be opened: it would be missing without a word."""
        if self.unreadable:
            raise BadDataError(
                f"{self.path(self.unreadable[0])} cannot be opened: permission denied",
                "change its permissions, or move it elsewhere",
            )


def walk(root: Path, *, depth: int | None = None) -> Walk:
    """List the files below a folder that may be images.

    Real folders are read before links to folders, so that a file is listed under its real place where that is below the
    root too. Links to folders that were read, and to folders that contain the root, are not followed. Hidden names,
    what desktops and storage systems leave behind, and files whose ending is no image's are counted.

    Args:
        root: the folder.
        depth: folders this far below the root are the last that are read; all by default.
    """
    result = Walk(root)
    # Device and inode identify a real folder; its path does not, because links give it many.
    seen = {_identity(folder.stat()) for folder in root.resolve().parents}
    files: list[tuple[bool, str, _Identity]] = []
    folders, links = [""], list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(links.index(min(links)))
        if _is_new(result, folder, seen):
            below = [entry for entry in _entries(result, folder) if _add(result, folder, entry, files)]
            names = [(_join(folder, entry.name), entry.is_symlink()) for entry in below]
            folders += [name for name, link in names if not link and _within(name, depth)]
            links += [name for name, link in names if link and _within(name, depth)]
    _keep_once(result, files)
    return result


def is_desktop(name: str) -> bool:
    """Return whether a name is hidden, or of a file or folder that desktops and storage systems leave behind."""
    lower = name.lower()
    known = lower in DESKTOP_NAMES or lower in DESKTOP_FOLDERS
    return known or lower.startswith((".", "~$")) or lower.endswith(DESKTOP_ENDINGS)


def ending_of(name: str) -> str:
    """Return the lower-case ending of a file's name; a number after the last dot, as scanners write it, is none."""
    last = name.rpartition("/")[2].lower()
    if last.endswith(".nii.gz"):
        return ".nii.gz"
    stem, dot, ending = last.rpartition(".")
    return "" if not dot or not stem or ending.isdigit() else f".{ending}"


def _is_new(result: Walk, folder: str, seen: set[_Identity]) -> bool:
    """Mark a folder as seen, or note a link to one that was seen."""
    try:
        key = _identity(result.path(folder).stat())
    except OSError:
        result.unreadable.append(folder or ".")
        return False
    if key in seen and key != (0, 0):  # a file system without inode numbers has no links either
        result.linked.append(folder)
        return False
    seen.add(key)
    return True


def _entries(result: Walk, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(result.path(folder)) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        result.unreadable.append(folder or ".")
        return []


def _add(result: Walk, folder: str, entry: os.DirEntry[str], files: list[tuple[bool, str, _Identity]]) -> bool:
    """Count or list an entry that is a file; return whether it is a folder to read."""
    if is_desktop(entry.name):
        result.skipped[DESKTOP] += 1
        return False
    if not _is_utf8(entry.name):
        name = os.fsencode(_join(folder, entry.name)).decode("utf-8", "backslashreplace")
        result.undecodable.append(name)
        return False
    if entry.is_dir():
        return True
    ending, name = ending_of(entry.name), _join(folder, entry.name)
    if (ending and ending not in READERS) or entry.name.lower() in SIDE_NAMES:
        known = ending in SIDE or ending in FOREIGN or not ending
        result.tables += [name] if ending in TABLES else []
        result.skipped[(ending or entry.name.upper()) if known else OTHER] += 1
        return False
    try:
        state = entry.stat()
    except PermissionError:
        result.unreadable.append(name)
    except OSError:
        result.broken.append(name)
    else:
        if entry.is_file():  # a pipe would block whoever opens it
            files.append((entry.is_symlink(), name, _identity(state)))
        else:
            result.skipped[OTHER] += 1
    return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that the file system's encoding does not have are surrogates
        return False
    return True


def _keep_once(result: Walk, files: list[tuple[bool, str, _Identity]]) -> None:
    """Drop second names of a file in one folder, and note those in other folders.

    A second name in another folder is kept: if the two folders are two patients, one image under both names tells that
    they belong on one side of the split.
    """
    first: dict[_Identity, str] = {}
    placed: set[tuple[str, _Identity]] = set()
    for _, name, key in sorted(files):  # real files come before links
        place = (name.rpartition("/")[0], key)
        if key == (0, 0):
            result.files.append(name)
        elif place in placed:
            result.twice.append(name)
        else:
            placed.add(place)
            result.files.append(name)
            if first.setdefault(key, name) != name:
                result.same[name] = first[key]
    result.files.sort()


def _identity(state: os.stat_result) -> _Identity:
    return (state.st_dev, state.st_ino) if state.st_ino else (0, 0)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _within(name: str, depth: int | None) -> bool:
    return depth is None or name.count("/") < depth


def _counts(counts: Counter[str]) -> str:
    """Return the total and the parts of counts, the largest first: `12 (.json 10, .txt 2)`."""
    parts = ", ".join(
        f"{ending} {count}" for ending, count in sorted(counts.items(), key=lambda part: (-part[1], part))
    )
    return f"{counts.total()} ({parts})"


def by_folder(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder that holds some of these names, in the order of the names, with them."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    yield from folders.items()
