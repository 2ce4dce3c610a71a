"""Bootstrap replicates of the exposed share, so that two models of one cohort are compared in pairs.

Each replicate gives every patient, training and held-out, a random weight. The weights depend on the cohort's numbers
of patients and the seed alone: all models of a cohort are compared on the same weighted patients, and what they share
(a patient who is easy to hit, a lucky cut) falls out of their difference. Intervals of single models do not come from
here: they are exact (`competition.exposed`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.metrics.competition import Nearest

    Codes = NDArray[np.int64]
    Floats = NDArray[np.float64]

REPLICATES = 200
GROUP = 8
"""Patients that have one weight: receipts name these groups, and no number of a patient that several receipts share.
Of equal models of 200 patients as few are told apart (2.5 %) as with a weight for each, of unequal ones no fewer."""

BLOCK = 2**21
"""Weights that are added up at a time."""
KEPT = 2**18
"""Weights of a cohort that are kept in memory: 2 MiB."""


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
    walks = _walks(nearest, x, seed, replicates)
    copies, heldout_samples = _summed(walks, ~walks.held), _summed(walks, walks.held)
    shares = (copies - by_chance * heldout_samples / np.maximum(walks.passed, 1.0)) / len(nearest.similarity)
    return tuple(shares.tolist())


def deepest_sample(nearest: Nearest, x: int, *, seed: int, replicates: int = REPLICATES) -> int:
    """Return how many samples, the most similar first, decide all replicates; arguments as of `share_replicates`."""
    return min(int(_walks(nearest, x, seed, replicates).ends.max()) + 1, len(nearest.similarity))


@dataclass(frozen=True)
class _Walks:
    """All draws of weights: samples in falling order of similarity, up to the end of each draw."""

    weights: Floats
    """(draws, groups)."""
    group: Codes
    """(N,) of each sample's patient: a column of the weights."""
    held: NDArray[np.bool_]
    """(N,) whether that patient is held out."""
    ends: Codes
    """(draws,) samples before the one at which the weights of the held-out patients met add up to x; N where they
    never do."""
    passed: Floats
    """(draws,) weight of the held-out patients met, that one included."""


def _walks(nearest: Nearest, x: int, seed: int, replicates: int) -> _Walks:
    order = np.argsort(-nearest.similarity, kind="stable")
    patient = nearest.patient[order]
    held = patient >= nearest.train
    first = np.zeros(len(patient), dtype=bool)
    first[np.unique(patient, return_index=True)[1]] = True
    meeting = np.flatnonzero(held & first)  # where a held-out patient is met for the first time
    known, group = np.unique(nearest.priority.astype(np.int64)[patient] // GROUP, return_inverse=True)
    groups = -(-(nearest.train + nearest.heldout) // GROUP)
    # Weights of groups that no sample is near to are drawn, so that all models of a cohort have the same, and not kept.
    weights = np.array([draw[known] for draw in _draws((seed, nearest.train, nearest.heldout), groups, replicates)])
    met = _met(weights, group[meeting], x)
    if not met.shape[1]:
        return _Walks(weights, group, held, np.full(replicates, len(patient)), np.zeros(replicates))
    before = (met < x).sum(axis=1)
    last = np.minimum(before, met.shape[1] - 1)
    ends = np.where(before < met.shape[1], meeting[last], len(patient))
    return _Walks(weights, group, held, ends, met[np.arange(replicates), last])


def _draws(seeds: tuple[int, int, int], groups: int, replicates: int) -> Iterable[Floats]:
    """Return the weights of all groups, draw by draw; of few groups they are kept, for all models of a board."""
    if groups * replicates <= KEPT:
        return _kept(seeds, groups, replicates)
    rng = np.random.default_rng(seeds)
    return (rng.exponential(size=groups) for _ in range(replicates))


@lru_cache(maxsize=8)
def _kept(seeds: tuple[int, int, int], groups: int, replicates: int) -> Floats:
    return np.random.default_rng(seeds).exponential(size=(replicates, groups))


def _met(weights: Floats, groups: Codes, x: int) -> Floats:
    """Return cumulated weights (draws, m) of the first m held-out patients met: so many that x is reached, or all."""
    upto = min(8 * x + 32, len(groups))
    while True:
        met = np.cumsum(weights[:, groups[:upto]], axis=1)
        if upto == len(groups) or bool((met[:, -1] >= x).all()):
            return met
        upto = min(2 * upto, len(groups))


def _summed(walks: _Walks, counted: NDArray[np.bool_]) -> Floats:
    """Return the weight of the counted samples before the end of each draw, (draws,).

    Added one after the other, and not in pairs: what follows the end then changes no bit, and a receipt leaves it out.
    """
    length = int(walks.ends.max())
    factor = np.where(counted[:length], 1.0, 0.0)
    sums = np.zeros(len(walks.ends))
    together = max(1, BLOCK // max(1, length))  # draws, so that a block takes 16 MiB
    for start in range(0, len(sums), together) if length else ():
        part = slice(start, start + together)
        upto = np.cumsum(walks.weights[part][:, walks.group[:length]] * factor, axis=1)
        ends = walks.ends[part]
        sums[part] = np.where(ends > 0, upto[np.arange(len(ends)), ends - 1], 0.0)
    return sums
