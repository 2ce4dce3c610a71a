"""What the measurements should reach, and whether they did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Measurement = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A bound that every measurement named after it should keep."""

    key: str
    text: str
    bound: float
    unit: str = ""
    least: bool = False
    """The bound is the least value, not the greatest."""

    def worst(self, values: Sequence[float]) -> float:
        """Return the value farthest on the wrong side; NaN counts as that."""
        if any(math.isnan(value) for value in values):
            return math.nan
        return min(values) if self.least else max(values)

    def met(self, value: float) -> bool:
        """Return whether a value keeps the bound; NaN does not."""
        return value >= self.bound if self.least else value <= self.bound

    @property
    def rule(self) -> str:
        """The bound in words."""
        return f"at {'least' if self.least else 'most'} {self.bound:g}{' ' + self.unit if self.unit else ''}"


GOALS = (
    Goal("tests", "tests of `pytest -m gpu` that fail", 0),
    Goal("search-exact", "8-bit searches whose answer on the device is not the CPU's to the bit", 0),
    Goal("search-ranks", "places of float images and embeddings that differ from the CPU's", 0),
    Goal("gradient", "fp32 training step: relative difference of the gradient from the CPU's, without TF32", 1e-3),
    Goal("same-seed", "weight tensors that differ between two trainings from one seed", 0),
    Goal("resume", "weight tensors that differ after a training was cut off and resumed", 0),
    Goal("roofline", "8-bit search on the device: share of the int8 rate of a plain product", 0.5, least=True),
    Goal("step-ratio", "training step: seconds of ours over those of a bare loop", 1.05),
    Goal("paper-memory", "greatest memory of a training step of `ldm --preset paper`", 80, "GB"),
    Goal("embedding", "copy detector: items per second, as a share of the bare forward pass", 0.9, least=True),
    Goal("run", "exit code of an end-to-end `bench run`", 0),
    Goal("two-processes", "weight tensors that differ between two processes of torchrun", 0),
)
BY_KEY = {goal.key: goal for goal in GOALS}


def judge(measurements: Sequence[Measurement], *, judged: bool) -> list[dict[str, Any]]:
    """Return one entry per goal: key, rule, worst value, number of measurements, verdict.

    Args:
        measurements: of all parts; those without a goal are ignored. A value of None stands for a failure; `final` is
            False where the part that measured it is not done, so that others may be missing.
        judged: False for a rehearsal, whose sizes say nothing.

    Verdicts: `met`, `met so far` (by a part that is not done), `not met`, `not run` (nothing was measured),
    `rehearsal`.
    """
    return [_judged(goal, [m for m in measurements if m.get("goal") == goal.key], judged) for goal in GOALS]


def _judged(goal: Goal, measurements: Sequence[Measurement], judged: bool) -> dict[str, Any]:
    known = [math.nan if one["value"] is None else float(one["value"]) for one in measurements]
    worst = goal.worst(known) if known else math.nan
    met = "met" if all(one.get("final", True) for one in measurements) else "met so far"
    verdict = "not run" if not known else met if goal.met(worst) else "not met"
    return {
        "key": goal.key, "text": goal.text, "rule": goal.rule, "count": len(known),
        "worst": None if math.isnan(worst) else worst, "verdict": verdict if judged or not known else "rehearsal",
    }  # fmt: skip
