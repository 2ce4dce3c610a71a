"""Text models: is a sample nearer to its prompt's own patient when that patient was trained on?

A caption tells something of its patient, so samples asked with training captions are near to training patients without
any copying. Asked in the same way with captions of held-out patients, they are near to those. Only the difference is
memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.bootstrap import clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]


def own_patient_difference(own: Flags, patient: Codes, in_train: Flags) -> Score:
    """Share of samples nearest to their prompt's own patient, training prompts minus held-out prompts, in -1 to 1.

    Args:
        own: (N,) whether the nearest real patient, of both sides together, is the one whose caption was asked with.
        patient: (N,) that patient.
        in_train: (N,) whether it is a training patient.

    Patients weigh the same. Without memory 0: then a patient's side says nothing of its share. The 95 % interval joins
    Clopper and Pearson's of both sides, by patient, as Newcombe 1998 (method 10) does with Wilson's: it errs to the
    wide side. The two sides should be as many patients, asked equally often.
    """
    sides = [_by_patient(own[side], patient[side]) for side in (in_train, ~in_train)]
    if not all(len(shares) for shares in sides):
        which = "training" if not len(sides[0]) else "held-out"
        return Score(value=None, n=len(own), reason=f"no prompt is of a {which} patient")
    (p, low_p, high_p), (q, low_q, high_q) = (_interval(shares) for shares in sides)
    value = p - q
    low = value - float(np.hypot(p - low_p, high_q - q))
    high = value + float(np.hypot(high_p - p, q - low_q))
    return Score(value=value, low=max(-1.0, low), high=min(1.0, high), n=len(own), direction="lower")


def _by_patient(own: Flags, patient: Codes) -> NDArray[np.float64]:
    """Share of each patient's samples."""
    _, codes = np.unique(patient, return_inverse=True)
    return np.bincount(codes, weights=own) / np.bincount(codes)


def _interval(shares: NDArray[np.float64]) -> tuple[float, float, float]:
    share = float(shares.mean())
    return share, *clopper_pearson(share * len(shares), len(shares))
