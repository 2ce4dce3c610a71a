"""Ranges of values: alike, stated, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.api.ranges import LEVELS, Values, alike, require_alike, require_inside, stated_ranges
from benchmark.core.errors import UsageError

RNG = np.random.default_rng(0)


def values(image: np.ndarray, stated: tuple[float, float] | None = None) -> Values:
    collected = Values(stated)
    for one in image:
        collected.add(one)
    return collected


UNIT = RNG.random((10, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("other", "same"),
    [(UNIT * 2 - 1, False), (UNIT * 255, False), (UNIT * 1.05 - 0.02, True), (0.1 + 0.75 * UNIT, True)],
)
def test_scales(other: np.ndarray, same: bool) -> None:
    assert alike(values(UNIT).typical, values(other).typical) == same
    assert alike(values(other).typical, values(UNIT).typical) == same


def test_one_odd_image_changes_nothing() -> None:
    odd = UNIT.copy()
    odd[0] *= 1000
    assert alike(values(UNIT).typical, values(odd).typical)


def message(function: Any, *arguments: Any) -> str:
    with pytest.raises(UsageError) as refused:
        function(*arguments)
    return str(refused.value)


def test_sets_on_two_scales_are_refused() -> None:
    levels = (UNIT * 255).astype(np.uint8)
    told = message(require_alike, {"train": values(levels), "synthetic": values(UNIT)})
    ends = values(levels).typical, values(UNIT).typical
    texts = [f"{low:.4g} to {high:.4g}" for low, high in ends]
    assert told == (
        f"train (uint8) has values of about {texts[0]}, and synthetic (float32) of about {texts[1]}: they are not on "
        "one scale\n"
        "  hint: convert them to one scale, or state which values are black and white: value_range="
        "{'train': (LOW, HIGH), 'synthetic': (LOW, HIGH)}"
    )
    require_alike({"train": values(UNIT), "heldout": values(UNIT[:3]), "synthetic": values(UNIT * 0.9)})


def test_a_stated_range_that_is_another_one() -> None:
    told = message(require_inside, {"synthetic": values(UNIT * 255, (0.0, 1.0))})
    greatest = f"{float((UNIT * 255).max()):g}"
    least = f"{float((UNIT * 255).min()):g}"
    assert told.endswith(
        f"of the values of synthetic are outside the stated range 0 to 1: they go from {least} to {greatest}\n"
        "  hint: state the range that they have: value_range=(LOW, HIGH); to clip values, such as those of CT, use "
        "options={'window': 'LOW,HIGH'}"
    )
    require_inside({"synthetic": values(UNIT * 1.05 - 0.02, (0.0, 1.0))})  # models overshoot


def test_what_is_stated() -> None:
    kinds = {"train": "uint8", "synthetic": "float32"}
    assert stated_ranges(None, kinds) == {}
    assert stated_ranges({"synthetic": (-1, 1)}, kinds) == {"train": LEVELS, "synthetic": (-1.0, 1.0)}
    assert stated_ranges((0, 1), {"train": "float32", "synthetic": "float64"}) == {
        "train": (0.0, 1.0), "synthetic": (0.0, 1.0),
    }  # fmt: skip
    assert message(stated_ranges, {"train": (0, 1)}, {"train": "float32", "synthetic": "float32"}) == (
        "value_range says nothing of synthetic, which is float32\n"
        "  hint: state the range of every set that is not uint8: value_range={'synthetic': (LOW, HIGH), ...}"
    )
    assert message(stated_ranges, {"made": (0, 1)}, kinds) == (
        "value_range has 'made', which is no set here\n  hint: choose from train, synthetic"
    )
    for wrong in ((1, 0), (0, float("nan")), 3, (0, 1, 2), "ab"):
        assert message(stated_ranges, wrong, {"train": "float32"}) == (
            f"value_range={wrong!r} is no range\n  hint: give the values that are black and white, such as (0, 1)"
        )
