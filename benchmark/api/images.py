"""What a user gives as a set of images: a folder, a list of files, arrays, tensors, a PyTorch or MONAI data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.core.errors import BadDataError, UsageError

KINDS = (
    "a folder, a list of files, an array (N, H, W) or (N, C, H, W), a list of arrays, or a PyTorch or MONAI data set"
)


def is_folder(given: Any, side: str) -> bool:
    """Return whether a path was given. Raises UsageError where it is that of a file."""
    if not isinstance(given, str | os.PathLike):
        return False
    if Path(given).is_file():
        raise UsageError(
            f"{side} names the file {given}, and a folder is needed",
            "give its folder, a list of files, or for an array: numpy.load(file)",
        )
    return True


def entries_of(given: Any, side: str) -> Iterator[Any]:
    """Yield what a set holds: files, or images and what accompanies them; each is read once.

    Raises UsageError for what is no set of images.
    """
    if hasattr(given, "batch_size") and hasattr(given, "dataset"):
        raise UsageError(f"{side} is a loader of batches", f"give the data set itself: {side}.dataset")
    if isinstance(given, Mapping | bytes) or not (hasattr(given, "__getitem__") or isinstance(given, Iterable)):
        raise UsageError(f"{side} is of type {type(given).__name__}, which is no set of images", f"give {KINDS}")
    if hasattr(given, "shape") and len(given.shape) < 2 and not _holds_files(given):
        raise UsageError(f"{side} has shape {tuple(given.shape)}, which is no set of images", f"give {KINDS}")
    if hasattr(given, "__len__") and hasattr(given, "__getitem__") and not hasattr(given, "iloc"):
        # By number, as PyTorch reads: such data sets need not end an iteration by IndexError.
        return (given[number] for number in range(len(given)))
    return iter(given)


def _holds_files(given: Any) -> bool:
    return str(getattr(given, "dtype", "")).startswith(("object", "str", "<U")) and bool(len(given))


def with_first(entries: Iterator[Any], side: str) -> tuple[Any, Iterator[Any]]:
    """Return the first entry, and all of them. Raises UsageError where there are none."""
    try:
        first = next(entries)
    except StopIteration:
        raise UsageError(f"{side} holds no images", "give at least one") from None
    return first, chain([first], entries)


def is_file(entry: Any) -> bool:
    """Return whether an entry of a set is a path."""
    return isinstance(entry, str | os.PathLike)


def image_of(entry: Any, key: str, where: str) -> Any:
    """Return the image of an entry: the entry itself, the first of a tuple (image, label), or what a dict has at `key`.

    Raises BadDataError where a dict has no such key.
    """
    if isinstance(entry, Mapping):
        if key not in entry:
            raise BadDataError(
                f"{where} is a dict without {key!r}; it has {', '.join(map(repr, entry))}",
                "name the one that holds the image: key=...",
            )
        return entry[key]
    # A list of numbers is no (image, label): its first number is no image, which as_array says.
    return entry[0] if isinstance(entry, tuple | list) and entry else entry
