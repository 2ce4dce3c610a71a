"""Files of model weights, looked at without reading the weights: pointers of git-lfs, headers of safetensors."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.progress import printable

LFS = b"version https://git-lfs.github.com/spec/v1"
MOST_HEADER = 100_000_000
"""Largest header of a safetensors file in bytes, the limit of the format."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself."""

    shapes: dict[str, tuple[int, ...]]
    """Shape of each tensor by name."""
    bytes_of: dict[str, int]
    """Bytes stored in each number format, such as F16."""


def require_whole(path: Path) -> None:
    """Raise MissingDataError where a file is a broken link or a pointer of git-lfs, BadDataError where it is empty."""
    if not path.is_file():
        raise MissingDataError(
            f"{path} is a link to a file that is not on this disk",
            "download the model again, or copy it with its links",
        )
    if is_lfs_pointer(path):
        raise MissingDataError(
            f"{path} is a pointer of git-lfs in place of the weights", "run `git lfs install` and `git lfs pull` there"
        )
    if not path.stat().st_size:
        raise BadDataError(f"{path} is empty", "download or copy it again")


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file holds the few lines that git-lfs puts in place of a large file."""
    with path.open("rb") as file:
        return file.read(len(LFS)) == LFS


def read_header(path: Path) -> Header:
    """Return the header of a safetensors file. Raises MissingDataError, or BadDataError where it is damaged or cut off.

    The format: 8 bytes with the length of the header (little endian), the header as JSON, then the numbers.
    """
    require_whole(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= min(size, MOST_HEADER) else b""
    try:
        entries = {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        bytes_of: dict[str, int] = {}
        for entry in entries.values():
            first, last = entry["data_offsets"]
            bytes_of[entry["dtype"]] = bytes_of.get(entry["dtype"], 0) + last - first
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BadDataError(
            f"{path} is not a safetensors file, or it is damaged", "download or copy it again"
        ) from error
    if 8 + length + end > size:
        raise BadDataError(f"{path} is cut off: it has {size} of {8 + length + end} bytes", "download or copy it again")
    return Header(shapes, bytes_of)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a model's JSON file. Raises MissingDataError, or BadDataError where it is damaged."""
    if not path.is_file():
        raise MissingDataError(f"there is no {path}", "download or copy the folder again")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{path} is not JSON, or it is damaged", "download or copy it again") from error
    if not isinstance(config, dict):
        raise BadDataError(f"{path} is not JSON, or it is damaged", "download or copy it again")
    return config


_said: set[str] = set()


def notice(text: str) -> None:
    """Print one line about what was chosen among files, once per process, to stderr: stdout may be read by programs."""
    if text not in _said:
        _said.add(text)
        print(f"note: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201
