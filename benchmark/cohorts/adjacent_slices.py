"""Which slice lies before and after a slice: their names say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmark.core.types import Array

SLICE = re.compile(r"(.*_)([xyz])(\d{3,})")
"""Items of volumes are named SOURCE_z077: the axis, and the slice's number in the volume."""


def neighbours(items: Sequence[str]) -> tuple[Array, Array]:
    """Return for each of N items the position of the slice before and of that after it, -1 where there is none."""
    place = {name: position for position, name in enumerate(items)}
    rows = [[place.get(_moved(name, step), -1) for name in items] for step in (-1, 1)]
    before, after = np.array(rows, dtype=np.int64).reshape(2, len(items))
    return before, after


def _moved(name: str, step: int) -> str:
    match = SLICE.fullmatch(name)
    if match is None:
        return ""
    number = int(match[3]) + step
    return f"{match[1]}{match[2]}{number:0{len(match[3])}d}" if number >= 0 else ""
