"""Tags of DICOM headers: where those of a frame are, and numbers that a file may have damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.tag import Tag

from benchmark.core.errors import BadDataError

if TYPE_CHECKING:
    from pydicom import Dataset

    from benchmark.core.types import Array


_tag = cache(Tag)


def value_of(header: Dataset, name: str) -> Any:
    """Return the value of a tag, or None where it is missing: `header.get(name)`, which takes four times as long."""
    element = header.get(_tag(name))
    return None if element is None else element.value


def frame_groups(header: Dataset, number: int) -> Iterator[Dataset]:
    """Yield where the tags of a frame may be: in its own groups, in those that all frames share, in the file."""
    for name, place in (("PerFrameFunctionalGroupsSequence", number), ("SharedFunctionalGroupsSequence", 0)):
        for element in (value_of(header, name) or [])[place : place + 1]:
            yield from (group[0] for group in (item.value for item in element if item.VR == "SQ") if group)
    yield header


def first(groups: Sequence[Dataset], name: str) -> Any:
    """Return the first value of a tag that is not empty, or None."""
    for group in groups:
        value = value_of(group, name)
        if value is not None and value != "":
            return value
    return None


def number(value: Any) -> float | None:
    """Return the value of a tag as a number; None where it is missing or none."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def numbers(groups: Sequence[Dataset], name: str, count: int, path: Path) -> Array | None:
    """Return the values (count,) of a tag, or None where it is missing. Raises BadDataError for any others."""
    value = first(groups, name)
    if value is None:
        return None
    try:
        values = np.array([float(part) for part in value])
    except (TypeError, ValueError):
        values = np.array([])
    if len(values) != count or not np.isfinite(values).all():
        raise BadDataError(f"{path} has a damaged tag {name}: {count} numbers are needed", "export it again")
    return values
