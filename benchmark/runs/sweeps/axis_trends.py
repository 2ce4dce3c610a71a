"""Trend tests along the axes of a sweep: one per axis, score, detector and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.options import as_text, suggest
from benchmark.metrics.trends import CLAIMS, Claim, Trend, holm, trend
from benchmark.runs.sweeps.readings import (
    MEASURE,
    SEED,
    Measure,
    Reading,
    axes_of,
    detectors_in,
    levels_of,
    position,
)

if TYPE_CHECKING:
    from benchmark.runs.sweeps.cells import Value

TESTED = ("exposed_share", "memorised_share", "quality")
"""Not the number of exposed patients: a larger training set has more patients who can be exposed."""
UNTESTED = (SEED, "split_seed", "model")
LEVEL = 0.05


@dataclass(frozen=True)
class AxisTrend:
    """The test of one axis, or why there is none."""

    axis: str
    measure: str
    detector: str
    """Empty for quality."""
    model: str
    levels: tuple[Value, ...]
    blocks: int
    """Blocks that were tested: trainings that differ along the axis alone."""
    planned: int
    """Blocks that the plan has."""
    test: Trend | None = None
    adjusted: float | None = None
    """p after Holm, over the axes, detectors and models of this score."""
    reason: str = ""
    """Why there is no test."""
    left_out: tuple[Value, ...] = ()
    """Values of the axis that no block has a number for."""
    change: tuple[float, float] | None = None
    """Means over the tested blocks at the first and at the last level."""
    claim: Claim = "changes"
    unlike: int = 0
    """Tested cells whose samples look like no training image, and copy nobody for that reason."""

    @property
    def answer(self) -> str:
        """What the test says, in one sentence."""
        survivors = f"; {self.planned - self.blocks} of {self.planned} blocks left out" * (self.blocks < self.planned)
        survivors += f"; no number at {', '.join(map(as_text, self.left_out))}" if self.left_out else ""
        survivors += f"; samples of {self.unlike} tested cells are unlike the training images" * bool(self.unlike)
        if self.test is None or self.adjusted is None:
            return f"not tested: {self.reason}{survivors}"
        if self.adjusted <= LEVEL:
            return f"{self.test.direction} ({_equation(self.adjusted)}){survivors}"
        if self.test.least > LEVEL:
            return (
                f"cannot be shown: {blocks_text(self.blocks)} of {len(self.levels)} values "
                f"{'gives' if self.blocks == 1 else 'give'} no p below {p_text(self.test.least)}; add seeds{survivors}"
            )
        return f"no trend shown ({_equation(self.adjusted)}){survivors}"


def blocks_text(count: int) -> str:
    """Return `1 block`, `2 blocks`."""
    return f"{count} block{'' if count == 1 else 's'}"


def p_text(p: float) -> str:
    """Return a p-value; very small ones as a bound."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _equation(p: float) -> str:
    return f"p {p_text(p)}" if p < 1e-4 else f"p = {p_text(p)}"


def axis_trends(
    readings: Sequence[Reading],
    *,
    orders: Mapping[str, Sequence[Value]] | None = None,
    claims: Mapping[str, Claim] | None = None,
) -> list[AxisTrend]:
    """Test every axis that has an order, but seeds.

    Args:
        readings: all cells, with all axes.
        orders: the values of axes that are no numbers, in the order in which a trend is looked for: it must have been
            chosen before the values were seen.
        claims: `falls` or `rises`, by axis, for exposed and memorised share, if said beforehand; quality is always
            tested both ways.

    Raises UsageError for an axis or a value that the sweep does not have.
    """
    orders, claims = orders or {}, claims or {}
    _check(readings, orders, claims)
    tests = [
        _one(readings, axis, MEASURE[name], detector, model, orders.get(axis), claims.get(axis, "changes"))
        for name in TESTED
        for axis in axes_of(readings)
        if axis not in UNTESTED and len({one.axes[axis] for one in readings}) > 1
        for detector in (detectors_in(readings) if MEASURE[name].by_detector else [""])
        for model in _models(readings)
        if len({one.axes[axis] for one in readings if model_of(one) == model}) > 1
    ]
    return [one for name in TESTED for one in _adjusted([test for test in tests if test.measure == name])]


def _check(readings: Sequence[Reading], orders: Mapping[str, Sequence[Value]], claims: Mapping[str, Claim]) -> None:
    known = [axis for axis in axes_of(readings) if axis not in UNTESTED]
    for axis in (*orders, *claims):
        if axis not in known:
            raise UsageError(
                f"this sweep has no axis {axis!r} that a trend could follow",
                f"{suggest(axis, known)}it has: {', '.join(known) or 'none'}",
            )
    for axis, order in orders.items():
        values = {one.axes[axis] for one in readings}
        if set(order) != values or len(order) != len(values):
            raise UsageError(
                f"the order of {axis} names {', '.join(map(as_text, order))}, and its values are "
                f"{', '.join(map(as_text, levels_of(axis, readings)))}",
                "name each value once",
            )
    for axis, claim in claims.items():
        if claim not in CLAIMS:
            raise UsageError(f"{axis} is claimed to be {claim!r}", f"say one of {', '.join(CLAIMS)}")


def _models(readings: Sequence[Reading]) -> list[str]:
    return list(dict.fromkeys(model_of(one) for one in readings))


def model_of(reading: Reading) -> str:
    """Return the name of a cell's model."""
    return str(reading.axes.get("model") or reading.outcome.cell.config.model.name)


def _one(
    readings: Sequence[Reading],
    axis: str,
    measure: Measure,
    detector: str,
    model: str,
    order: Sequence[Value] | None,
    claim: Claim,
) -> AxisTrend:
    own = [one for one in readings if model_of(one) == model]
    levels = levels_of(axis, own, order)
    untested = AxisTrend(axis, measure.name, detector, model, tuple(levels), 0, 0)
    if order is None and any(position(axis, value, own) is None for value in levels):
        return replace(untested, reason="the values have no order of their own; name one before the values are seen")
    blocks = _blocks(own, axis)
    scored = [value for value in levels if any(_has(block.get(value), measure, detector) for block in blocks)]
    complete = [block for block in blocks if all(_has(block.get(value), measure, detector) for value in scored)]
    result = replace(
        untested, blocks=len(complete), planned=len(blocks), levels=tuple(scored),
        left_out=tuple(value for value in levels if value not in scored),
    )  # fmt: skip
    if len(scored) < 2:
        return replace(result, reason="fewer than two values of the axis have a number", blocks=0)
    if not complete:
        return replace(result, reason="no block has a number at all values of the axis")
    rows = [[block[value] for value in scored] for block in complete]
    return _tested(result, rows, measure, detector, "changes" if measure.name == "quality" else claim)


def _blocks(readings: Sequence[Reading], axis: str) -> list[dict[Value, Reading]]:
    """Return the cells of each block by their value on the axis."""
    blocks: dict[object, dict[Value, Reading]] = defaultdict(dict)
    for one in readings:
        blocks[one.without(axis)][one.axes[axis]] = one
    return list(blocks.values())


def _has(reading: Reading | None, measure: Measure, detector: str) -> bool:
    entry = reading.entry(measure, detector) if reading is not None and reading.finished else None
    return entry is not None and None not in (entry.value, entry.low, entry.high)


def _tested(result: AxisTrend, rows: list[list[Reading]], measure: Measure, detector: str, claim: Claim) -> AxisTrend:
    entries = [[one.entry(measure, detector) for one in row] for row in rows]
    value, low, high = (
        np.array([[getattr(entry, end) for entry in row] for row in entries], dtype=np.float64)
        for end in ("value", "low", "high")
    )
    test = trend(value, low, high, _replicates(rows, measure.id(detector)), claim=claim)
    means = value.mean(axis=0)
    unlike = sum(bool(one.note) for row in rows for one in row)
    return replace(result, test=test, change=(float(means[0]), float(means[-1])), claim=claim, unlike=unlike)


def _replicates(rows: list[list[Reading]], score: str) -> np.ndarray | None:
    """Return the replicates of all cells, (B, k, R), where all have as many."""
    drawn = [[one.replicates.get(score, ()) for one in row] for row in rows]
    counts = {len(values) for row in drawn for values in row}
    return np.array(drawn) if len(counts) == 1 and counts != {0} else None


def _adjusted(tests: list[AxisTrend]) -> list[AxisTrend]:
    """Adjust the p-values of one score."""
    done = [one for one in tests if one.test is not None]
    by_test = dict(zip(map(id, done), holm([one.test.p for one in done if one.test is not None]), strict=True))
    return [replace(one, adjusted=by_test.get(id(one))) for one in tests]
