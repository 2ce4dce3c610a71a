"""Thresholds from held-out patients, and measures of separation, with patients as the unit.

Slices of one patient resemble each other, so that patients, not items, are the independent units of every statistic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]

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
