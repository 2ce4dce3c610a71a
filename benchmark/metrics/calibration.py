"""Thresholds from held-out patients, their nulls, and intervals with patients as the unit."""

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
    """Weigh items (N,) so that every patient counts the same; the weights sum to 1."""
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
    position = int(np.searchsorted(mass, level - 1e-12))
    return float(values[order[min(position, len(values) - 1)]])


def patient_share(above: NDArray[np.bool_], codes: Codes) -> float:
    """Return the mean over patients of the share of their items that are above."""
    return float((above * patient_weights(codes)).sum())


def resample_patients(codes: Codes, rng: Generator) -> tuple[NDArray[np.int64], Codes]:
    """Draw patients with replacement: positions of all their items, and new codes that count repeats as patients."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    drawn = rng.integers(0, len(counts), len(counts))
    sizes = counts[drawn]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.repeat(starts[drawn], sizes) + within], np.repeat(np.arange(len(drawn)), sizes)


def interval(statistic: Callable[[Generator], float], value: float, *, seed: int, n: int) -> tuple[float, float]:
    """Return a 95 % percentile interval of a share: `statistic` resamples once a call.

    0 of n and n of n get the exact binomial bound instead of a width of zero.
    """
    rng = np.random.default_rng(seed)
    low, high = np.quantile([statistic(rng) for _ in range(RESAMPLES)], [0.025, 0.975])
    edge = 1 - 0.025 ** (1 / n)
    if value <= 0:
        high = max(high, edge)
    if value >= 1:
        low = min(low, 1 - edge)
    return float(min(low, value)), float(max(high, value))


def benjamini_hochberg(p_values: Floats, rate: float = 0.10) -> NDArray[np.bool_]:
    """Select items (N,) so that the expected share of wrong ones is at most rate (Benjamini & Hochberg 1995)."""
    order = np.argsort(p_values, kind="stable")
    passed = np.flatnonzero(p_values[order] <= rate * np.arange(1, len(order) + 1) / len(order))
    chosen = np.zeros(len(order), dtype=bool)
    if len(passed):
        chosen[order[: passed[-1] + 1]] = True
    return chosen


def auc(positive: Floats, negative: Floats) -> float:
    """Return P(positive > negative) + P(equal) / 2: the area under the ROC curve (Mann-Whitney)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    equal = np.searchsorted(ordered, positive, side="right") - below
    return float((below + equal / 2).mean() / len(negative))


def tpr_at_fpr(positive: Floats, negative: Floats, fpr: float = 0.01) -> float:
    """Return the share of positives above the value that at most `fpr` of the negatives exceed."""
    allowed = math.floor(fpr * len(negative))
    threshold = np.sort(negative)[len(negative) - 1 - allowed]
    return float((positive > threshold).mean())
