"""On which scale the values of image files are: grey levels, or floats in [0, 1] or [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.core.errors import BadDataError, UsageError
from benchmark.images.sample_checks import TOLERANCE

if TYPE_CHECKING:
    from benchmark.core.types import Array

Scale = Literal["signed", "unit", "levels", "levels16"]
LIMITS: dict[Scale, tuple[float, float]] = {
    "signed": (-1.0, 1.0), "unit": (0.0, 1.0), "levels": (0.0, 255.0), "levels16": (0.0, 65535.0)
}  # fmt: skip
"""What becomes black and white."""
BRIGHT = 200 / 255
"""A scale of grey levels is recognised where the brightest of all files is at least this part of white: below, 0 to 1
multiplied by something else, or a dark part of a wider scale, are as likely."""
DARK = -0.5
"""[-1, 1] is recognised where the darkest of all files is at most this: resizing, or a decoder, puts values of [0, 1] a
little below 0, too."""


@dataclass(frozen=True)
class Values:
    """The number type of a file's pixels, and the range they take."""

    file: Path
    kind: np.dtype[np.generic]
    low: float
    high: float
    images: int
    constant: int
    """How many of the images have one value only."""

    def __str__(self) -> str:
        return f"{self.kind} from {self.low:.4g} to {self.high:.4g}"

    @property
    def family(self) -> str:
        """The kinds of number that may differ between files without a change of scale: floats of any size."""
        return "float" if self.kind.kind == "f" else str(self.kind)

    def fits(self, scale: Scale) -> bool:
        """Return whether all values are on a scale, up to TOLERANCE of its half width, as samples of models may be."""
        if scale == "levels16":
            return self.kind == np.uint16
        low, high = LIMITS[scale]
        beyond = TOLERANCE * (high - low) / 2
        return low - beyond <= self.low and self.high <= high + beyond


def scale_of(files: Sequence[Values], given: Scale | None) -> Scale:
    """Return the scale of all files: the one that is given, where it fits, or the only one that can be meant.

    Raises BadDataError, naming the files, where number types or ranges differ, or no scale fits; UsageError where two
    scales fit: floats of 0 to 1 may also be the upper half of -1 to 1.
    """
    for values in files:
        if values.family != files[0].family:
            raise _mixed(files[0], values, "save all images with one number type")
    if given:
        return _require_fit(files, given)
    brightest = max(files, key=lambda values: values.high)
    if files[0].kind != np.uint8:
        return _recognised(files, brightest)
    if brightest.high <= 1:  # floats of 0 to 1 that were cast to 8 bits
        raise _unknown(brightest)
    return "levels"


def to_signed(pixels: Array, scale: Scale) -> Array:
    """Return pixels, any shape, as float32 in [-1, 1], or whole levels of 0 to 255 as 8 bits."""
    if scale == "levels" and pixels.dtype.kind in "bui":
        return pixels.astype(np.uint8)
    low, high = LIMITS[scale]
    images = pixels.astype(np.float32)
    if scale != "signed":
        images = (images - low) * (2 / (high - low)) - 1
    return np.clip(images, -1, 1)


def _require_fit(files: Sequence[Values], given: Scale) -> Scale:
    for values in files:
        if not values.fits(given):
            low, high = LIMITS[given]
            raise BadDataError(
                f"{values.file} holds {values}, which range={given} does not allow: [{low:g}, {high:g}]",
                "choose another range, clip the values, or leave range out",
            )
    return given


def _recognised(files: Sequence[Values], highest: Values) -> Scale:
    lowest = min(files, key=lambda values: values.low)
    if lowest.low < 0:
        for values in (lowest, highest):
            if not values.fits("signed"):
                raise _mixed(lowest, highest, HINT) if lowest.fits("signed") else _unknown(values)
        if lowest.low <= DARK:
            return "signed"
    if lowest.low < 0 or highest.fits("unit"):
        clipped = "clip what is below 0 and " if not lowest.fits("unit") else ""
        raise UsageError(
            f"the images are {_over_all(files)}: on the scale [0, 1], or on [-1, 1] without a dark pixel",
            f"say which: {clipped}--set range=unit, or --set range=signed",
        )
    scale: Scale = "levels16" if highest.kind == np.uint16 and not highest.fits("levels") else "levels"
    white = LIMITS[scale][1]
    if not highest.fits(scale) or highest.high < BRIGHT * white:
        raise _unknown(highest)
    # One file of 0 to 1, or of 0 to 255 among 16 bits, would be read as black.
    narrower: tuple[Scale, ...] = ("unit",) if scale == "levels" else ("unit", "levels")
    for values in files:
        if any(values.fits(one) for one in narrower) and values.constant < values.images:
            raise _mixed(values, highest, HINT)
    return scale


HINT = "save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained"


def _unknown(values: Values) -> BadDataError:
    wider: tuple[Scale, ...] = ("levels", "levels16")
    fitting = [f"; where {LIMITS[scale][1]:g} is white: --set range={scale}" for scale in wider if values.fits(scale)]
    levels = fitting[0] if fitting else ""
    return BadDataError(f"{values.file} holds {values}, which is no scale of images", HINT + levels)


def _mixed(one: Values, other: Values, hint: str) -> BadDataError:
    return BadDataError(f"{one.file} holds {one}, but {other.file.name} {other}: these are two scales", hint)


def _over_all(files: Sequence[Values]) -> str:
    low, high = min(values.low for values in files), max(values.high for values in files)
    return f"{files[0].kind} from {low:.2f} to {high:.2f}"


def summary(files: Sequence[Values], scale: Scale) -> str:
    """Return such as `200 images, float32 from -0.98 to 1.00, read as [-1, 1]; 2 are constant`."""
    count, constant = sum(values.images for values in files), sum(values.constant for values in files)
    low, high = LIMITS[scale]
    noted = f"; {constant} of them constant (every pixel the same)" if constant else ""
    return f"{count} images, {_over_all(files)}, read as [{low:g}, {high:g}]{noted}"
