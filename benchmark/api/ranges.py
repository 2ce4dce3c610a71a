"""Ranges of values: which value is black, which white. Sets with different ranges are not compared as if equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.arrays import of_side
from benchmark.core.errors import UsageError
from benchmark.core.percent import percent
from benchmark.images.windowing import PERCENTILES

if TYPE_CHECKING:
    from benchmark.core.types import Array

Range = tuple[float, float]
LEVELS: Range = (0.0, 255.0)
"""The range of uint8."""
LOOKED_AT = 1 << 16
"""Pixels per image from which percentiles are taken."""
APART = 0.4
"""Difference between the ends of two sets, as a share of the wider range, above which they are not on one scale: ends
of [0, 1] and [-1, 1] differ by 0.5, those of sharp and blurred images of one scale by less than 0.3."""
MARGIN, OUTSIDE = 0.05, 0.01
"""Share of the pixels that may be outside a stated range, widened by this share of its width: models overshoot, and
1 % is what the scaling by percentiles clips, too."""


@dataclass
class Values:
    """The values of a set of images, collected image by image."""

    stated: Range | None = None
    dtype: str = ""
    pixels: int = 0
    outside: int = 0
    """Pixels outside the stated range."""
    least: float = np.inf
    greatest: float = -np.inf
    ends: list[Range] = field(default_factory=list)
    """Percentiles 0.5 and 99.5 of each image."""

    def add(self, image: Array) -> None:
        """Look at an image of any shape."""
        finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image.ravel()
        if not finite.size:
            return
        self.dtype = self.dtype or image.dtype.name
        self.pixels += finite.size
        self.least, self.greatest = min(self.least, float(finite.min())), max(self.greatest, float(finite.max()))
        few = finite.ravel()[:: max(1, finite.size // LOOKED_AT)]
        low, high = np.percentile(few, PERCENTILES)
        self.ends.append((float(low), float(high)))
        if self.stated:
            margin = MARGIN * (self.stated[1] - self.stated[0])
            self.outside += int(((finite < self.stated[0] - margin) | (finite > self.stated[1] + margin)).sum())

    @property
    def typical(self) -> Range:
        """The median ends of the images: one odd image does not move them."""
        low, high = np.median(np.array(self.ends), axis=0)
        return float(low), float(high)


def stated_ranges(given: Any, kinds: Mapping[str, str]) -> dict[str, Range]:
    """Return the stated range of each set; empty where none was stated.

    Args:
        given: None, one (low, high) for all sets, or a mapping from names of sets to such pairs. Sets of uint8 need
            none: theirs is 0 to 255.
        kinds: the type of numbers of each set, such as `float32`.

    Raises UsageError for what is no range, and where only some sets have one.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping) and set(given) - set(kinds):
        unknown = sorted(set(given) - set(kinds))[0]
        raise UsageError(f"value_range has {unknown!r}, which is no set here", f"choose from {', '.join(kinds)}")
    ranges = {side: _range(of_side(given, side)) for side in kinds if of_side(given, side) is not None}
    ranges |= {side: LEVELS for side, kind in kinds.items() if kind == "uint8" and side not in ranges}
    missing = [side for side in kinds if side not in ranges]
    if missing:
        raise UsageError(
            f"value_range says nothing of {missing[0]}, which is {kinds[missing[0]]}",
            f"state the range of every set that is not uint8: value_range={{{missing[0]!r}: (LOW, HIGH), ...}}",
        )
    return ranges


def _range(given: Any) -> Range:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise UsageError(
            f"value_range={given!r} is no range", "give the values that are black and white, such as (0, 1)"
        )
    return low, high


def require_alike(sets: Mapping[str, Values]) -> None:
    """Raise UsageError where the first set (train) and another one are not on one scale, and no range was stated."""
    (first, one), *others = sets.items()
    for name, other in others:
        if one.ends and other.ends and not alike(one.typical, other.typical):
            raise UsageError(
                f"{first} ({one.dtype}) has values of about {_text(one.typical)}, and {name} ({other.dtype}) of about "
                f"{_text(other.typical)}: they are not on one scale",
                "convert them to one scale, or state which values are black and white: value_range="
                f"{{{first!r}: (LOW, HIGH), {name!r}: (LOW, HIGH)}}",
            )


def alike(one: Range, other: Range) -> bool:
    """Return whether the ends of two ranges differ by less than APART of the wider one."""
    width = max(one[1] - one[0], other[1] - other[0])
    return width == 0 or max(abs(one[0] - other[0]), abs(one[1] - other[1])) < APART * width


def require_inside(sets: Mapping[str, Values]) -> None:
    """Raise UsageError where many values are outside the stated range: it is that of other images."""
    for name, values in sets.items():
        if values.stated and values.outside > OUTSIDE * values.pixels:
            raise UsageError(
                f"{percent(values.outside / values.pixels, 0)} of the values of {name} are outside the stated range "
                f"{_text(values.stated)}: they go from {values.least:g} to {values.greatest:g}",
                "state the range that they have: value_range=(LOW, HIGH); to clip values, such as those of CT, use "
                "options={'window': 'LOW,HIGH'}",
            )


def _text(ends: Range) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}"
