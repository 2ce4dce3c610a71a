"""What a cohort can show, before anything is scored: from numbers of patients and samples alone.

Assumed: copies are near-exact, so that they outrank every match by chance, and each copies a training image drawn at
random. Degraded copies take more. Where some patients have many more images than others, copies are of fewer patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.percent import percent
from benchmark.metrics import negative_hypergeometric as chance
from benchmark.metrics.competition import SPENDING, Spending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POWER = 0.95
DRAWS = 2000
"""Simulated sets where patients have different numbers of images: their power is known to 0.5 % (standard error)."""


@dataclass(frozen=True)
class Detectable:
    """The least that the headline would tell from nothing with 95 % power; or why it can tell nothing."""

    patients: int | None
    """Smallest number of exposed training patients."""
    share: float | None
    """Smallest share of samples that are copies; nothing where N samples are too few."""
    certain: int | None
    """So many distinct copied patients put the lower end above 0 whatever chance does."""
    samples_needed: int | None
    """Fewest samples with which any claim is possible: one of each of `certain` patients."""
    heldout_needed: int
    """Fewest held-out patients with which so many training patients allow a claim."""
    reason: str = ""
    """Why nothing can be shown, and what it takes."""


def detectable(
    train: int, heldout: int, samples: int, *, spending: Spending = SPENDING, images: NDArray[np.int64] | None = None
) -> Detectable:
    """Tell what T training patients, H held-out patients and N samples can show, at the error of `exposed`.

    `images` (T,) are the training images of each patient; where it is not given, each has as many.

    The lower end is above 0 if D_x > q_x at x = 1 or 2 (deeper thresholds may not be read), D_x = e + K_x. So q_1 + 1
    copied patients always do; with e fewer, chance has to add q_1 + 1 - e, whose probability is exact.
    """
    even = images is None or len(np.unique(images)) == 1
    return _of_even(train, heldout, samples, spending) if even else _told(train, heldout, samples, spending, images)


@lru_cache(maxsize=256)
def _of_even(train: int, heldout: int, samples: int, spending: Spending) -> Detectable:
    """The records of a board ask for the same numbers a thousand times."""
    return _told(train, heldout, samples, spending, None)


def _told(train: int, heldout: int, samples: int, spending: Spending, images: NDArray[np.int64] | None) -> Detectable:
    needed = _heldout_needed(train, spending[0])
    bounds = chance.boundary(train, heldout, spending)[:2] if train and heldout else (train, train)
    certain = bounds[0] + 1
    if train < 1 or heldout < 1 or certain > train:
        return Detectable(None, None, None, None, needed, _too_few(train, heldout, needed))
    powers = np.array([chance.crossing(train, heldout, bounds, exposed=e) for e in range(certain + 1)])
    patients = int(np.flatnonzero(powers >= POWER)[0])
    if samples < certain:
        reason = (
            f"{_count(samples, 'sample')} can copy {_count(samples, 'patient')} at most, and with {train} "
            f"training and {heldout} held-out patients it takes {certain}: at least {certain} samples"
        )
        return Detectable(patients, None, certain, certain, needed, reason)
    copies = _copies_needed(train, samples, powers) if images is None else _of_uneven(images, samples, powers)
    reason = "" if copies else f"{samples} samples are too few for any share to be shown with {percent(POWER, 0)} power"
    return Detectable(patients, copies / samples if copies else None, certain, certain, needed, reason)


def _too_few(train: int, heldout: int, needed: int) -> str:
    if train < 1:
        return "there is no training patient"
    given = f"{_count(train, 'training patient')} and {heldout} held-out"
    takes = f"it takes {_count(needed, 'held-out patient')}"
    if heldout < 1:
        return f"{given}: nothing tells copies from chance; {takes}"
    by_chance = 1 / math.comb(train + heldout, train)
    return (
        f"{given}: even if everybody in training were copied, {percent(by_chance, 0)} of splits would look so by "
        f"chance alone; {takes} for a first claim"
    )


def _count(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _heldout_needed(train: int, error: float) -> int:
    """Smallest H at which "all T come before the first held-out patient" has probability 1 / C(T + H, T) <= error."""
    heldout = 1
    while train and math.comb(train + heldout, min(train, heldout)) * error < 1 - chance.SLACK:
        heldout += 1
    return heldout


def _copies_needed(train: int, samples: int, powers: Floats) -> int | None:
    """Smallest number of samples that copy random training patients at which the power is reached, or nothing.

    The number of distinct patients among n draws with replacement is a Markov chain in n.
    """
    size = len(powers)
    distinct = np.zeros(size)  # P(so many distinct patients); the last entry also stands for more
    distinct[0] = 1.0
    again = np.minimum(np.arange(size) / train, 1.0)
    again[-1] = 1.0
    for copies in range(1, samples + 1):
        new = distinct * (1 - again)
        distinct = distinct * again + np.concatenate([[0.0], new[:-1]])
        if float(distinct @ powers) >= POWER:
            return copies
    return None


def _of_uneven(images: NDArray[np.int64], samples: int, powers: Floats) -> int | None:
    """Return the same as `_copies_needed` where patients have different numbers of images, (T,); simulated, seeded.

    The number of distinct patients is then no Markov chain.
    """
    rng, upto = np.random.default_rng(0), np.cumsum(images)
    copied = np.zeros((DRAWS, len(images)), dtype=bool)
    distinct, rows = np.zeros(DRAWS, dtype=np.int64), np.arange(DRAWS)
    for copies in range(1, samples + 1):
        patients = np.searchsorted(upto, rng.integers(0, upto[-1], DRAWS), side="right")
        distinct = np.minimum(distinct + ~copied[rows, patients], len(powers) - 1)
        copied[rows, patients] = True
        if float(powers[distinct].mean()) >= POWER:
            return copies
    return None
