"""Bootstrap replicates of the exposed share, so that two models of one cohort are compared in pairs.

Each replicate gives every patient, training and held-out, a random weight. The weights depend on the cohort's numbers
of patients and the seed alone: all models of a cohort are compared on the same weighted patients, and what they share
(a patient who is easy to hit, a lucky cut) falls out of their difference. Intervals of single models do not come from
here: they are exact (`competition.exposed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.metrics.competition import Nearest

    Floats = NDArray[np.float64]

REPLICATES = 200
GROUP = 8
"""Patients that have one weight: receipts name these groups, and no number of a patient that several receipts share.
Of equal models of 200 patients as few are told apart (2.5 %) as with a weight for each, of unequal ones no fewer."""


def share_replicates(nearest: Nearest, x: int, *, seed: int, replicates: int = REPLICATES) -> tuple[float, ...]:
    """Return replicates of the share of samples that copy, read at the x-th held-out patient.

    Args:
        nearest: the nearest patient of each of N samples.
        x: held-out patients to pass, 1 or more; with weights of mean 1, their weights add up to it.
        seed: of the weights.
        replicates: how many.

    Weights are exponential of mean 1 (the Bayesian bootstrap of Rubin 1981): unlike counts of draws with replacement
    they never remove a patient, so that no replicate loses its threshold. Patients who follow each other in the order
    of `nearest.priority`, GROUP at a time, share a weight: the order is the same for all models of a cohort, and tells
    nothing of a patient.
    """
    by_chance = chance.mean(nearest.train, nearest.heldout, min(x, nearest.heldout)) if nearest.heldout else 0.0
    shares = []
    for walk in _walks(nearest, x, seed, replicates):
        copies, heldout_samples = float(walk.weights[~walk.held].sum()), float(walk.weights[walk.held].sum())
        shares.append((copies - by_chance * heldout_samples / max(walk.passed, 1.0)) / len(nearest.similarity))
    return tuple(shares)


def deepest_sample(nearest: Nearest, x: int, *, seed: int, replicates: int = REPLICATES) -> int:
    """Return how many samples, the most similar first, decide all replicates; arguments as of `share_replicates`."""
    ends = [walk.end for walk in _walks(nearest, x, seed, replicates)]
    return min(max(ends) + 1, len(nearest.similarity))


@dataclass(frozen=True)
class _Walk:
    """One draw of weights: samples in falling order of similarity, up to the end."""

    weights: Floats
    """(end,) of each sample's patient."""
    held: NDArray[np.bool_]
    """(end,) whether that patient is held out."""
    end: int
    """Samples before the one at which the weights of the held-out patients met add up to x."""
    passed: float
    """Weight of the held-out patients met, that one included."""


def _walks(nearest: Nearest, x: int, seed: int, replicates: int) -> Iterator[_Walk]:
    order = np.argsort(-nearest.similarity, kind="stable")
    patient = nearest.patient[order]
    group, held = nearest.priority.astype(np.int64)[patient] // GROUP, patient >= nearest.train
    first = np.zeros(len(patient), dtype=bool)
    first[np.unique(patient, return_index=True)[1]] = True
    meeting = np.flatnonzero(held & first)  # where a held-out patient is met for the first time
    groups = -(-(nearest.train + nearest.heldout) // GROUP)
    rng = np.random.default_rng([seed, nearest.train, nearest.heldout])
    for _ in range(replicates):
        weights = rng.exponential(size=groups)
        met = np.cumsum(weights[group[meeting]])
        reached = bool(len(met)) and met[-1] >= x
        last = int(np.searchsorted(met, x)) if reached else len(met) - 1
        end = int(meeting[last]) if reached else len(patient)
        yield _Walk(weights[group[:end]], held[:end], end, float(met[last]) if len(met) else 0.0)
