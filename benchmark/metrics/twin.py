"""Excess copy rate by the twin threshold: the headline of protocol p1.

S(g; B) is the greatest similarity of synthetic item g to any item of bank B. Patients are the unit: the training
patients are cut into K parts, each no larger (in patients) than the held-out bank H. If the generator copied nobody,
the training patients and the held-out patients are exchangeable, so S(g; part) and S(g; same-sized subset of H) have
one law, however blurred or collapsed its images are.

    tau    = (1 - alpha) quantile over g of S(g; H')                H' = subsets of H as large as a part
    excess = sum over parts of (share of g with S(g; part) > tau, minus a) / (1 - a)
             a = the share of g with S(g; H') > tau, which is alpha but for ties

The interval half-samples the patients of both sides (the variance of a half-sample about the whole equals the variance
of the whole about the truth: McCarthy 1969, half-sample replication) and resamples the synthetic items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.metrics.calibration import upper_bound_of_none

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

ALPHA = 0.01
PARTITIONS = 10
REPLICATES = 200
SUBSETS = 20


@dataclass(frozen=True)
class Draw:
    """One cut of both sides into patient groups of equal size."""

    parts: tuple[NDArray[np.int64], ...]
    """Training patients, each patient in one part."""
    twins: tuple[NDArray[np.int64], ...]
    """Held-out patients, disjoint groups, each as large as the largest part."""
    scale: float
    """All training patients over those in `parts`."""


@dataclass
class TwinMaxima:
    """S(g; group) of every synthetic item for every group of every draw."""

    draws: list[Draw]
    parts: list[Floats]
    """Per draw (N, K)."""
    twins: list[Floats]
    """Per draw (N, J)."""

    def arrays(self) -> dict[str, Floats]:
        """Return both sides with the groups of all draws concatenated, (N, groups) each."""
        return {"parts": np.concatenate(self.parts, axis=1), "twins": np.concatenate(self.twins, axis=1)}

    @classmethod
    def of(cls, draws: list[Draw], parts: Floats, twins: Floats) -> Self:
        """Split the (N, groups) of `arrays` into draws again."""
        sides = ([len(draw.parts) for draw in draws], parts), ([len(draw.twins) for draw in draws], twins)
        return cls(draws, *(np.split(values, np.cumsum(counts)[:-1], axis=1) for counts, values in sides))


def plan(train: int, heldout: int, *, seed: int, replicates: int = REPLICATES) -> list[Draw]:
    """Return PARTITIONS cuts of all patients, then `replicates` cuts of random halves of both sides.

    Args:
        train: number of training patients, at least 2.
        heldout: number of held-out patients, at least 2.
        seed: the same seed gives the same cuts, so that models on one cohort are compared in pairs.
        replicates: how many half-sample draws follow.
    """
    rng = np.random.default_rng([seed, train, heldout])
    whole = [_cut(rng.permutation(train), rng.permutation(heldout), 1.0) for _ in range(PARTITIONS)]
    half_train, half_heldout = train // 2, heldout // 2
    halves = [
        _cut(rng.permutation(train)[:half_train], rng.permutation(heldout)[:half_heldout], train / half_train)
        for _ in range(replicates)
    ]
    return whole + halves


def _cut(train: NDArray[np.int64], heldout: NDArray[np.int64], scale: float) -> Draw:
    count = math.ceil(len(train) / len(heldout))
    parts = tuple(np.array_split(train, count))
    size = len(parts[0])
    twins = tuple(heldout[i * size : (i + 1) * size] for i in range(min(SUBSETS, len(heldout) // size)))
    return Draw(parts=parts, twins=twins, scale=scale)


def group_maxima(by_patient: Floats, groups: tuple[NDArray[np.int64], ...]) -> Floats:
    """Reduce (n, P) greatest similarities by patient to (n, len(groups)) by group."""
    starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
    gathered = by_patient[:, np.concatenate(groups)]
    return np.asarray(np.maximum.reduceat(gathered, starts, axis=1))


@dataclass(frozen=True)
class Excess:
    """The headline and what it was made from."""

    value: float
    low: float
    high: float
    tau: float
    replicates: tuple[float, ...]
    """Half-sample replicates, centred on `value` before clipping: boards compare models by their differences."""


def excess(maxima: TwinMaxima, *, seed: int, alpha: float = ALPHA) -> Excess:
    """Estimate the share of synthetic items that copy a training patient, with a 95 % interval in [0, 1].

    A share cannot be negative, so value and interval are clipped; the upper end is never below that of
    "0 of N" (rule of three).
    """
    count = len(maxima.parts[0])
    everyone = np.arange(count)
    whole = [_excess_of(maxima, d, everyone, alpha) for d in range(PARTITIONS)]
    raw = float(np.mean([e for e, _ in whole]))
    rng = np.random.default_rng([seed, count])
    half = range(PARTITIONS, len(maxima.draws))
    values = np.array([_excess_of(maxima, d, rng.integers(0, count, count), alpha)[0] for d in half])
    # Halves have fewer patients, which shifts their mean: only their spread about it is used.
    centred = values - values.mean() + raw
    low, high = np.quantile(centred, [0.025, 0.975])
    # All draws of "no item is above" agree: the exact bound keeps a width that N items cannot exclude.
    floor = upper_bound_of_none(count)
    return Excess(
        value=_share(raw),
        low=_share(min(low, raw)),
        high=_share(max(high, raw, floor)),
        tau=float(np.mean([tau for _, tau in whole])),
        replicates=tuple(float(v) for v in centred),
    )


def _excess_of(maxima: TwinMaxima, draw: int, rows: NDArray[np.int64], alpha: float) -> tuple[float, float]:
    twins = maxima.twins[draw][rows]
    tau = float(np.quantile(twins, 1 - alpha, method="higher"))
    above = float((twins > tau).mean())
    shares = (maxima.parts[draw][rows] > tau).mean(axis=0)
    return maxima.draws[draw].scale * float(((shares - above) / (1 - above)).sum()), tau


def _share(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))


def p_values(maxima: TwinMaxima) -> Floats:
    """Return the conformal p-value of every synthetic item, (N,): smallest over parts of rank among S(g'; H'), times K.

    Uses the first draw and its first twin, so that each item has one fixed comparison. The smallest of K ranks is
    multiplied by K (Bonferroni).
    """
    reference = np.sort(maxima.twins[0][:, 0])
    parts = maxima.parts[0]
    at_least = len(reference) - np.searchsorted(reference, parts, side="left")
    smallest = (1 + at_least.min(axis=1)) / (len(reference) + 1)
    return np.asarray(np.minimum(1.0, smallest * parts.shape[1]))


def maxima_of(by_train: Floats, by_heldout: Floats, draws: list[Draw]) -> TwinMaxima:
    """Reduce greatest similarities by patient, (N, P_train) and (N, P_heldout), to every group of every draw."""
    return TwinMaxima(
        draws=draws,
        parts=[group_maxima(by_train, draw.parts) for draw in draws],
        twins=[group_maxima(by_heldout, draw.twins) for draw in draws],
    )


def join(blocks: list[TwinMaxima]) -> TwinMaxima:
    """Concatenate the maxima of consecutive blocks of synthetic items."""
    return TwinMaxima(
        draws=blocks[0].draws,
        parts=[np.concatenate(pieces) for pieces in zip(*(block.parts for block in blocks), strict=True)],
        twins=[np.concatenate(pieces) for pieces in zip(*(block.twins for block in blocks), strict=True)],
    )
