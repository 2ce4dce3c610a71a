"""Training images that are repeated: duplication as a controlled factor of memorisation."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.types import Split


def repeated(train: Split, times: int, share: float) -> Split:
    """Return the training split with all images of a share of its patients `times` times.

    Which patients depends on their names alone, so that a larger share contains a smaller one, and more repetitions
    repeat the same images. The cohort that is evaluated stays as it is: each image is there once.

    Args:
        train: the training split.
        times: 1 returns the split itself.
        share: of the patients, in (0, 1]; at least one patient is repeated.

    Raises UsageError for fewer than 1 time, or a share outside (0, 1].
    """
    require_repeats(times, share)
    if times == 1:
        return train
    patients = sorted(set(train.subjects), key=_place)
    # A share such as 0.07 of 100 is 7.000000000000001 in floating point: rounded first, lest one patient be added.
    chosen = set(patients[: max(1, math.ceil(round(share * len(patients), 9)))])
    again = [position for position, subject in enumerate(train.subjects) if subject in chosen]
    return train.part(np.concatenate([np.arange(len(train)), np.tile(np.array(again, dtype=np.int64), times - 1)]))


def require_repeats(times: int, share: float) -> None:
    """Raise UsageError for a number of repetitions or a share of patients that cannot be."""
    if times < 1:
        raise UsageError(f"--repeat {times} is less than once", "give 1 (no duplication) or more, such as 10")
    if not 0 < share <= 1:
        raise UsageError(f"--repeat-share {share:g} is no share of the patients", "give more than 0, up to 1")


def _place(subject: str) -> bytes:
    return hashlib.sha256(f"repeat:{subject}".encode()).digest()
