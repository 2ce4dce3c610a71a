"""What each score can be: the least and the greatest value of every id, in one table.

A number outside its range was not measured: a record that holds one is refused. A number inside it may still be wrong;
`bench leaderboard verify` computes the headline again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from benchmark.records.record import Record

Most = Literal["training patients", "held-out patients", "samples"]
Limits = tuple[float, float]

ROUNDED = 1e-6
"""How far rounding may put a similarity or a share outside its range."""
ENDINGS = ("_null", "_test", "_heldout", "_floor", "_real")
"""The same score for real images that no model has made."""
HEAVIEST = 40.0
"""Greatest weight of a patient in a replicate: P(an exponential weight of mean 1 exceeds it) is 4e-18."""
DEEPEST = 10
"""Greatest x at which replicates are read (`metrics.competition`: half of the deepest threshold)."""


@dataclass(frozen=True)
class Range:
    """Limits of a value and of both ends of its interval."""

    low: float = 0.0
    high: float = 1.0
    most: Most | None = None
    """The record's number that the value cannot exceed, in place of `high`."""
    least_n: int = 1
    """Smallest n behind a value."""

    def within(self, record: Record) -> Limits:
        """Return the limits in one record."""
        return self.low, self.high if self.most is None else float(_number(record, self.most))


SHARE = Range()
COUNT = Range(high=math.inf)
SIMILARITY = Range(low=-1.0)
ANY = Range(-math.inf, math.inf)
OF_TRAINING = Range(high=math.inf, most="training patients")
OF_SAMPLES = Range(high=math.inf, most="samples")

RANGES: dict[str, Range] = {
    "exposed.patients": OF_TRAINING,
    "exposed.items": SHARE,
    "exposed.threshold": SIMILARITY,
    "exposed.control": SHARE,
    "exposed.verbatim": OF_SAMPLES,
    "withheld.items": OF_SAMPLES,
    "withheld.false_items": Range(high=math.inf, most="samples", least_n=0),  # n is the length of the list
    "withheld.false_patients": OF_TRAINING,
    "split.p": SHARE,
    "heldout.exposed": Range(high=math.inf, most="held-out patients"),
    "privacy.epsilon": COUNT,
    "growth.": OF_TRAINING,
    "copies.rate": SHARE,
    "copies.null": SHARE,
    "copies.tau": SIMILARITY,
    "members.": SHARE,
    "detector.recall.": SHARE,
    "detector.recall_headline.": SHARE,
    "detectable.patients": OF_TRAINING,
    "detectable.share": SHARE,
    "samples.constant": OF_SAMPLES,
    "samples.repeated": OF_SAMPLES,
    "samples.unlike": SHARE,
    "neighbours.dcr_share": SHARE,
    "neighbours.ratio_share": SHARE,
    "neighbours.ratio_median": COUNT,
    "neighbours.calibrated_l2": COUNT,
    "neighbours.auth_share": SHARE,
    "neighbours.m3_share": SHARE,
    "neighbours.c_t": ANY,
    "neighbours.c_t_swapped": ANY,
    "published.dar2025.tau": SIMILARITY,
    "published.dar2025.": SHARE,
    "published.akbar2025.": SIMILARITY,
    "attack.loss.": SHARE,
    "prompts.auc": SHARE,
    "prompts.tpr_at_1_fpr": SHARE,
    "prompts.median": ANY,
    "prompts.length": SIMILARITY,
    "prompts.marks": COUNT,
    "prompted.own": SIMILARITY,
    "quality.frechet": COUNT,
    "quality.kernel": ANY,
    "quality.precision": SHARE,
    "quality.recall": SHARE,
    "quality.density": COUNT,
    "quality.coverage": SHARE,
    "quality.mifid": COUNT,
    "quality.ms_ssim": SIMILARITY,
}
"""By id without `[detector]`; an id that ends in a point stands for all that begin with it, the longest one first."""


@lru_cache(maxsize=4096)
def range_of(score: str) -> Range | None:
    """Return the range of a score by its id, with or without `[detector]`; nothing for an id that is not known."""
    bare = score.partition("[")[0]
    bare = f"published.{bare.removeprefix('rule.')}" if bare.startswith("rule.") else bare
    for name in (bare, *(bare.removesuffix(ending) for ending in ENDINGS if bare.endswith(ending))):
        if name in RANGES:
            return RANGES[name]
    families = [name for name in RANGES if name.endswith(".") and bare.startswith(name) and bare != name]
    return RANGES[max(families, key=len)] if families else None


def limits_of(score: str) -> Limits:
    """Return the limits of a score in any record."""
    known = range_of(score) or ANY
    return known.low, known.high


def impossible(record: Record) -> str:
    """Return what of a record's numbers cannot be, such as more exposed patients than there are; else nothing."""
    for name, entry in record.scores.items():
        known = range_of(name) or ANY
        low, high = known.within(record)
        for value in (entry.low, entry.value, entry.high):
            if value is not None and not low - ROUNDED <= value <= high + ROUNDED:
                return f"{name} is {value:g}, and cannot be outside [{low:g}, {high:g}]"
        if entry.value is not None and entry.n is not None and entry.n < known.least_n:
            return f"{name} has the n {entry.n}, and a value takes {known.least_n} at least"
    return _impossible_replicates(record)


def _impossible_replicates(record: Record) -> str:
    low = -float(DEEPEST * _number(record, "training patients"))  # x T / (H + 1) clusters of all samples are taken off
    for name, values in record.replicates.items():
        entry = record.scores.get(name)
        if values and (entry is None or entry.value is None):
            return f"{name} has replicates, and no value"
        for value in values:
            if not low <= value <= HEAVIEST:
                return f"a replicate of {name} is {value:g}, and cannot be outside [{low:g}, {HEAVIEST:g}]"
    return ""


def _number(record: Record, what: Most) -> int:
    patients = record.cohort.patients
    if what == "training patients":
        return patients["train"]
    if what == "samples":
        return record.spec.samples
    return sum(patients.values()) - patients["train"]
