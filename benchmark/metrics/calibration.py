"""Thresholds from held-out patients, and tests and intervals with patients as the unit.

Slices of one patient resemble each other, so that patients, not items, are the independent units of every statistic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]

RESAMPLES = 500
CONFORMAL_PATIENTS = 19
"""Below this many calibration patients no 0.95 quantile has a conformal guarantee: 19 / (19 + 1) = 0.95."""


def patient_weights(codes: Codes) -> Floats:
    """Return weights (N,) of items with patients `codes` (N,): every patient counts the same; the weights sum to 1."""
    counts = np.bincount(codes)
    return 1.0 / counts[codes] / np.count_nonzero(counts)


def conformal_quantile(values: Floats, codes: Codes, level: float = 0.95) -> float:
    """Return the threshold that a new patient's random item exceeds with probability at most 1 - level.

    Args:
        values: (N,) similarities of calibration items.
        codes: (N,) patient of each item, from 0.
        level: between 0 and 1.

    Patients weigh the same, and one more patient is counted at infinity (Vovk et al. 2005; Lei et al. 2018). With
    fewer than level / (1 - level) patients that would be infinite: the largest finite value is returned then.
    """
    patients = np.count_nonzero(np.bincount(codes))
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(patient_weights(codes)[order]) * patients / (patients + 1)
    # The sum of n weights carries rounding of at most n * 1e-16: without the margin a mass that equals the level could
    # fall short of it, and the next larger value would be taken.
    position = int(np.searchsorted(mass, level - 1e-12))
    return float(values[order[min(position, len(values) - 1)]])


def patient_share(above: NDArray[np.bool_], codes: Codes) -> float:
    """Return the mean over patients of the share of their items that are above; (N,) bool and (N,) patients."""
    return float((above * patient_weights(codes)).sum())


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


def interval(statistic: Callable[[Generator], float], value: float, *, seed: int, n: int) -> tuple[float, float]:
    """Return a 95 % percentile interval (low, high) of a share in [0, 1]; it always holds `value`.

    Args:
        statistic: draws one resample with the generator and returns the share in it.
        value: the share in the data themselves.
        seed: of the generator.
        n: number of independent units (patients, or synthetic items) behind the share.
    """
    rng = np.random.default_rng(seed)
    low, high = np.quantile([statistic(rng) for _ in range(RESAMPLES)], [0.025, 0.975])
    # Resampling 0 of n gives 0 of n every time: a width of zero. The exact binomial bound says what n cannot exclude.
    if value <= 0:
        high = max(high, upper_bound_of_none(n))
    if value >= 1:
        low = min(low, 1 - upper_bound_of_none(n))
    return float(min(low, value)), float(max(high, value))


def upper_bound_of_none(n: int) -> float:
    """Return the upper end of the exact 95 % interval of a share that is 0 of n (Clopper & Pearson 1934)."""
    from scipy.stats import binomtest

    return float(binomtest(0, n).proportion_ci(0.95, method="exact").high)


def benjamini_hochberg(p_values: Floats, rate: float = 0.10) -> NDArray[np.bool_]:
    """Select items so that the expected share of wrong selections is at most rate (Benjamini & Hochberg 1995).

    Args:
        p_values: (N,) in [0, 1]; N may be 0.
        rate: the false discovery rate, between 0 and 1.

    Returns:
        (N,), true for selected items.
    """
    from scipy.stats import false_discovery_control

    # Conformal p-values are multiples of one fraction, so that p = rate * k / N happens. SciPy multiplies p by N / k,
    # where rounding (a few units of 1e-16) may push it above the rate: the margin keeps such an item selected.
    return np.asarray(false_discovery_control(p_values) <= rate * (1 + 1e-12)) if len(p_values) else np.zeros(0, bool)


def mann_whitney_u(first: Floats, second: Floats) -> float:
    """Count the pairs of (N,) and (M,) in which the first is greater; ties count 1/2. The result is exact, 0 to N * M.

    It uses SciPy's ranks. `scipy.stats.mannwhitneyu` and `sklearn.metrics.roc_auc_score` give the same number, but for
    200 against 200 items they take 20 to 60 times as long, and a bootstrap calls this 200 times.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([first, second]))
    return float(ranks[: len(first)].sum() - len(first) * (len(first) + 1) / 2)


def auc(positive: Floats, negative: Floats) -> float:
    """Return P(positive > negative) + P(equal) / 2 of (N,) against (M,): the area under the ROC curve."""
    return mann_whitney_u(positive, negative) / len(positive) / len(negative)


def tpr_at_fpr(positive: Floats, negative: Floats, fpr: float = 0.01) -> float:
    """Return the share of positives (N,) above the value that at most `fpr` of the negatives (M,) exceed.

    `sklearn.metrics.roc_curve` reaches the same share 30 to 200 times more slowly, and loads pandas.
    """
    allowed = math.floor(fpr * len(negative))
    threshold = np.sort(negative)[len(negative) - 1 - allowed]
    return float((positive > threshold).mean())
