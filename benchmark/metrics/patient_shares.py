"""Shares with intervals by patient: at least as wide as Clopper and Pearson's for as many patients, and monotone.

A patient's items are not independent, so patients are what is counted. With shares within patients between 0 and 1 the
number of successes need not be whole: value * patients is put into the beta quantiles, which are monotone in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from benchmark.core.types import Score
from benchmark.metrics.calibration import conformal_quantile, patient_share

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.core.types import Direction
    from benchmark.metrics.copy_rate import PatientScores

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

RESAMPLES = 500


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
    rng = np.random.default_rng(seed)
    low, high = np.quantile([statistic(rng) for _ in range(RESAMPLES)], [0.025, 0.975])
    least, most = clopper_pearson(value * patients, patients)
    return float(min(low, least, value)), float(max(high, most, value))


def flagged_share(flags: Flags, codes: Codes, *, direction: Direction = "lower") -> Score:
    """Score the share of flagged items (N,), patients (codes from 0) weighing the same; the threshold is given."""
    value, patients = patient_share(flags, codes), int(codes.max()) + 1
    counts, hits = np.bincount(codes), np.bincount(codes, weights=flags)

    def once(rng: Generator) -> float:
        drawn = rng.integers(0, patients, patients)
        return float((hits[drawn] / counts[drawn]).mean())

    low, high = share_interval(once, value, seed=0, patients=patients)
    return Score(value=value, low=low, high=high, n=len(flags), direction=direction)


def share_above(queries: PatientScores, calibration: PatientScores, *, direction: Direction = "lower") -> Score:
    """Score the share of queries above the 0.95 conformal quantile of calibration; both are resampled by patient."""
    tau = conformal_quantile(calibration.values, calibration.codes)
    value = patient_share(queries.values > tau, queries.codes)

    def once(rng: Generator) -> float:
        drawn, reference = queries.resample(rng), calibration.resample(rng)
        return patient_share(drawn.values > conformal_quantile(reference.values, reference.codes), drawn.codes)

    low, high = share_interval(once, value, seed=0, patients=queries.patients)
    return Score(value=value, low=low, high=high, n=len(queries.values), direction=direction)
