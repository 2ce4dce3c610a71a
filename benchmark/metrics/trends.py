"""Does a score rise or fall along an axis of a sweep, beyond what other trainings and other patients would show?

Two things are random in such a table, and a trend has to hold against both:

- Trainings. A cell is one training, and another seed reads differently. Blocks are trainings that differ along the
  axis alone (one seed, one setting of all other axes). If the axis has no effect, all orders of the values within a
  block are equally likely: Page's trend test (Page 1963), here with its exact distribution, ties included.
- Patients. All cells are compared with the same held-out patients, and smaller training sets are parts of larger ones.
  What is special to these patients is in every block, and more seeds do not remove it: Page's test alone takes it for
  a trend (scripts/simulate_trends.py). So the weighted sum over levels is also compared with the error that the
  cells' own 95 % intervals give it, by the method of variance estimates recovery (Zou & Donner 2008). Errors of levels
  that share patients are positively correlated; taken as independent, the error of the sum is too large, which makes
  the test conservative.

The p-value is the larger of the two: it is valid wherever one of them is (intersection-union test, Berger 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import norm, rankdata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Claim = Literal["falls", "rises", "changes"]
CLAIMS: tuple[Claim, ...] = ("falls", "rises", "changes")
EXACT_LEVELS = 12
"""The exact distribution over the orders of k values takes 2^k steps: beyond so many levels a normal one is taken."""
QUANTILE = 1.959963984540054
"""Standard deviations from the middle of a 95 % interval to its ends."""


@dataclass(frozen=True)
class Trend:
    """What a test of one axis says."""

    direction: Literal["falls", "rises", "neither"]
    """Where the values go; of a one-sided claim, too, it is what the values do."""
    p: float
    """The larger of the next two, in (0, 1]."""
    p_trainings: float
    """Page's test over blocks."""
    p_patients: float
    """The weighted sum against the cells' intervals."""
    least: float
    """The smallest p that so many blocks of so many levels can give at all."""
    blocks: int
    levels: int


def trend(
    values: Floats, low: Floats, high: Floats, replicates: Floats | None = None, *, claim: Claim = "changes"
) -> Trend:
    """Test a trend over the levels of an axis.

    Args:
        values: (B, k) one row per block, its columns in the order of the levels; finite.
        low: (B, k) lower ends of the cells' 95 % intervals.
        high: (B, k) upper ends.
        replicates: (B, k, R) of each value, one per draw of patients' weights (`metrics.replicates`), where the score
            has them.
        claim: `falls` or `rises` if that was said before the values were seen; `changes` tests both ways, for which p
            is doubled.

    Raises ValueError for fewer than two levels, no block, or a value outside its interval.
    """
    _check(values, low, high)
    drawn = 0.0 if replicates is None else replicate_spread(replicates)
    rises = (page_p(values), mover_p(values, low, high, drawn))
    falls = (page_p(-values), mover_p(-values, -high, -low, drawn))
    least = 1 / math.factorial(values.shape[1]) ** len(values)
    shift = float((values @ _weights(values.shape[1])).sum())
    if claim == "changes":
        side = rises if max(rises) <= max(falls) else falls
        trainings, patients = (min(1.0, 2 * p) for p in side)
        least = min(1.0, 2 * least)
    else:
        trainings, patients = rises if claim == "rises" else falls
    return Trend(
        "rises" if shift > 0 else "falls" if shift < 0 else "neither",
        max(trainings, patients), trainings, patients, least, *values.shape,
    )  # fmt: skip


def _check(values: Floats, low: Floats, high: Floats) -> None:
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise ValueError(f"a trend needs two levels and one complete block; the table has the shape {values.shape}")
    if not ((low <= values) & (values <= high)).all():  # false for NaN, too
        raise ValueError("a trend needs values inside their intervals")


def _weights(levels: int) -> Floats:
    """Return the ranks of the levels about their mean, (k,): the weights of Page's statistic."""
    return np.asarray(np.arange(levels) - (levels - 1) / 2, dtype=np.float64)


def page_p(values: Floats) -> float:
    """Return the one-sided p-value of Page's L for rising values (B, k), given the ties of each block.

    L = sum over blocks and levels of (number of the level) x (rank of the value in its block). Under the null every
    order within a block is equally likely, blocks independent, so that L's distribution is a convolution over blocks.
    """
    # Ranks are multiples of 1/2: twice their value is whole, and L can be counted on a grid of whole numbers.
    ranks = np.rint(2 * np.apply_along_axis(rankdata, 1, values)).astype(np.int64)
    levels = values.shape[1]
    observed = int((ranks @ np.arange(1, levels + 1)).sum())
    if levels > EXACT_LEVELS:
        return _normal_p(ranks, observed)
    distribution = np.ones(1)
    for row in ranks:
        distribution = np.convolve(distribution, _orders(tuple(row.tolist())))
    # A sum of a probability mass of about 1e-16 of rounding must not end as 0 or above 1.
    return float(min(1.0, max(distribution[observed:].sum(), 1 / math.factorial(levels) ** len(values))))


def _orders(ranks: tuple[int, ...]) -> Floats:
    """Return the probability of every value 0, 1, ... of sum j * ranks[order[j]], over all orders of the ranks.

    Dynamic programming over the set of ranks that the first levels have taken: 2^k sets in place of k! orders.
    """
    levels = len(ranks)
    most = sum(number * rank for number, rank in enumerate(sorted(ranks), start=1))
    counts = {0: np.eye(1, most + 1)[0]}
    for number in range(1, levels + 1):
        following: dict[int, Floats] = {}
        for taken, before in counts.items():
            for place, rank in enumerate(ranks):
                if taken >> place & 1:
                    continue
                moved = np.roll(before, number * rank)  # nothing wraps around: `most` is the largest sum
                key = taken | 1 << place
                following[key] = following[key] + moved if key in following else moved
        counts = following
    return np.asarray(counts[2**levels - 1] / math.factorial(levels))


def _normal_p(ranks: NDArray[np.int64], observed: int) -> float:
    """Return the p-value from the mean and variance of L over all orders (exact ones), taken as normal."""
    levels = ranks.shape[1]
    numbers = np.arange(1, levels + 1)
    mean = float(ranks.sum() * numbers.mean())
    # Variance of sum a_i b_order(i) over random orders: k^2 / (k - 1) var(a) var(b) (Hoeffding 1951).
    variance = levels**2 / (levels - 1) * numbers.var() * float(ranks.var(axis=1).sum())
    return 1.0 if variance == 0 else float(norm.sf((observed - 1 - mean) / math.sqrt(variance)))


def replicate_spread(replicates: Floats) -> float:
    """Return the standard deviation over draws (B, k, R) of the weighted sum of the levels' means.

    Cells of as many patients have the same draws: what they share falls out of the sum. Cells of training sets of
    different sizes have independent draws, and nothing falls out, although they share patients: this is conservative.
    """
    return float((_weights(replicates.shape[1]) @ replicates.mean(axis=0)).std(ddof=1))


def mover_p(values: Floats, low: Floats, high: Floats, drawn: float = 0.0) -> float:
    """Return the one-sided p-value for a rising weighted sum of the levels' means, from the intervals of all cells.

    Each level's interval has the mean distance of its cells' ends from their values: cells of one level are compared
    with the same patients, and several of them are no more certain about these than one is. Where a level counts
    positively its distance to the lower end matters, where it counts negatively that to the upper end. `drawn` is a
    standard deviation of the sum that the intervals do not hold.
    """
    weights = _weights(values.shape[1])
    below, above = (values - low).mean(axis=0), (high - values).mean(axis=0)
    total = float(values.mean(axis=0) @ weights)
    margin = math.hypot(*(weights * np.where(weights > 0, below, above)), QUANTILE * drawn)
    if margin == 0:
        return 0.5 if total == 0 else float(total < 0)
    return float(norm.sf(QUANTILE * total / margin))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for looking at all of them (Holm 1979), in the given order."""
    order = np.argsort(p, kind="stable")
    adjusted, largest = [0.0] * len(p), 0.0
    for place, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[position]))
        adjusted[position] = largest
    return adjusted
