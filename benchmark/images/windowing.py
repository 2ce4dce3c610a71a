"""Conversion of a file's values to grey levels: windows of CT, ranges of MR, levels of radiographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from benchmark.core.types import Array

HOUNSFIELD = {"lung": (-1350.0, 150.0), "mediastinum": (-125.0, 225.0), "bone": (-500.0, 1300.0)}
"""Lower and upper end in HU: widths 1500, 350, 1800 at -600, 50, 400 (Radiopaedia, "Windowing (CT)")."""
RULES = ("auto", "levels", "percentiles", "maximum", "range")
PERCENTILES = (0.5, 99.5)
"""Share of the values of a file: 1 % may be clipped, so that bright voxels (metal, vessels) do not darken the rest."""


def require_window(window: str) -> None:
    """Raise UsageError where a window is neither a known name nor LOW,HIGH."""
    if window in RULES or window in HOUNSFIELD or _numbers(window) is not None:
        return
    raise UsageError(
        f"there is no window {window!r}",
        f"choose {', '.join(HOUNSFIELD)} (CT), {', '.join(RULES)}, or two numbers such as -1000,400",
    )


def limits(values: Array, window: str, file: str) -> tuple[float, float]:
    """Return the values of a whole file that become black and white.

    Args:
        values: any shape.
        window: `lung`, `mediastinum`, `bone` or `LOW,HIGH` in the file's units; `percentiles` 0.5 and 99.5;
            `maximum`, from 0 to the greatest value; `range`, from the least to the greatest; `levels`, 8-bit grey
            levels unchanged; `auto`, levels where the file has 8 bits, percentiles elsewhere.
        file: its name for messages.

    Raises BadDataError where both values are equal, or for `levels` where the file does not hold 8-bit values.
    """
    low, high = _limits(values, window, file)
    if low >= high:
        raise BadDataError(
            f"{file} has one value, {low:g}, at both ends of the window {window!r}",
            "choose another window, crop it closer to the organ, or leave it out",
        )
    return low, high


def grey(values: Array, low: float, high: float) -> Array:
    """Map values of any shape, low ... high, to 0 ... 255, float32, not yet rounded or clipped."""
    levels: Array = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return levels


def _limits(values: Array, window: str, file: str) -> tuple[float, float]:
    """Return the limits before they are compared; `values` of any shape."""
    if window in HOUNSFIELD:
        return HOUNSFIELD[window]
    given = _numbers(window)
    if given is not None:
        return given
    if window == "levels" and values.dtype != np.uint8:
        raise BadDataError(f"{file} holds {values.dtype} values, 8-bit grey levels are needed", "choose another window")
    if values.dtype == np.uint8 and window in ("levels", "auto"):
        return 0.0, 255.0
    if window in ("percentiles", "auto"):
        low, high = np.percentile(values, PERCENTILES)
        return float(low), float(high)
    return (0.0 if window == "maximum" else float(values.min())), float(values.max())


def _numbers(window: str) -> tuple[float, float] | None:
    """Parse LOW,HIGH; None where it is anything else."""
    parts = window.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        return None
    return (low, high) if np.isfinite([low, high]).all() and low < high else None
