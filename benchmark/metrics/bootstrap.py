"""Intervals with patients as the unit: the one bootstrap of this package, and exact bounds of shares.

A patient's images are not independent, so patients are what is drawn and counted. Intervals of shares are at least as
wide as Clopper and Pearson's for as many patients, and monotone in the count: with shares within patients between 0 and
1 the number of successes need not be whole, and value * patients is put into the beta quantiles, which are monotone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from benchmark.core.types import Score
from benchmark.metrics.calibration import patient_share

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.core.types import Direction

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

RESAMPLES = 500


def resample_patients(codes: Codes, rng: Generator) -> tuple[NDArray[np.int64], Codes]:
    """Draw as many patients as there are, with replacement (the cluster bootstrap).

    Args:
        codes: (N,) patient of each item, from 0, without gaps.
        rng: draws the patients.

    Returns:
        Positions of all items of the drawn patients, (M,), and their codes (M,): a patient drawn twice counts as two.
    """
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    drawn = rng.integers(0, len(counts), len(counts))
    sizes = counts[drawn]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.repeat(starts[drawn], sizes) + within], np.repeat(np.arange(len(drawn)), sizes)


def percentile_interval(
    statistic: Callable[[Generator], float], value: float, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a bootstrap; it always holds `value`.

    `statistic` draws one resample with the generator, as `resample_patients` does, and returns the quantity in it.
    """
    rng = np.random.default_rng(seed)
    low, high = np.quantile([statistic(rng) for _ in range(resamples)], [0.025, 0.975])
    return float(min(low, value)), float(max(high, value))


def clopper_pearson(successes: float, trials: int, error: float = 0.05) -> tuple[float, float]:
    """Return the exact binomial interval of a share, each end with half of the error (Clopper & Pearson 1934).

    `successes` is between 0 and `trials`, whole or not; not whole, it interpolates between the exact intervals.
    """
    low = 0.0 if successes <= 0 else float(betaincinv(successes, trials - successes + 1, error / 2))
    high = 1.0 if successes >= trials else float(betaincinv(successes + 1, trials - successes, 1 - error / 2))
    return low, high


def share_interval(
    statistic: Callable[[Generator], float], value: float, *, seed: int, patients: int
) -> tuple[float, float]:
    """Return a 95 % interval: the wider at each end of resampling and Clopper-Pearson by patient.

    `statistic` resamples once a call. With one seed the same patients are drawn for every set of flags, so a resample
    can only rise where more items are flagged: both intervals, and their hull, are monotone.
    """
    low, high = percentile_interval(statistic, value, seed=seed)
    least, most = clopper_pearson(value * patients, patients)
    return min(low, least), max(high, most)


def flagged_share(flags: Flags, codes: Codes, *, direction: Direction = "lower") -> Score:
    """Score the share of flagged items (N,), patients (codes from 0) weighing the same; the threshold is given."""
    value, patients = patient_share(flags, codes), int(codes.max()) + 1
    counts, hits = np.bincount(codes), np.bincount(codes, weights=flags)

    def once(rng: Generator) -> float:
        drawn = rng.integers(0, patients, patients)
        return float((hits[drawn] / counts[drawn]).mean())

    low, high = share_interval(once, value, seed=0, patients=patients)
    return Score(value=value, low=low, high=high, n=len(flags), direction=direction)
