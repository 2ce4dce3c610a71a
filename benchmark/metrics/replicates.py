"""Bootstrap replicates of the exposed share, so that two models of one cohort are compared in pairs.

Each replicate gives every patient, training and held-out, a random weight. The weights depend on the cohort's numbers
of patients and the seed alone: all models of a cohort are compared on the same weighted patients, and what they share
(a patient who is easy to hit, a lucky cut) falls out of their difference. Intervals of single models do not come from
here: they are exact (`competition.exposed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.metrics.competition import Nearest

    Floats = NDArray[np.float64]

REPLICATES = 200


def share_replicates(nearest: Nearest, x: int, *, seed: int, replicates: int = REPLICATES) -> tuple[float, ...]:
    """Return replicates of the share of samples that copy, read at the x-th held-out patient.

    Args:
        nearest: the nearest patient of each of N samples.
        x: held-out patients to pass, 1 or more; with weights of mean 1, their weights add up to it.
        seed: of the weights.
        replicates: how many.

    Weights are exponential of mean 1 (the Bayesian bootstrap of Rubin 1981): unlike counts of draws with replacement
    they never remove a patient, so that no replicate loses its threshold.
    """
    order = np.argsort(-nearest.similarity, kind="stable")
    patient = nearest.patient[order]
    held = patient >= nearest.train
    first = np.zeros(len(patient), dtype=bool)
    first[np.unique(patient, return_index=True)[1]] = True
    rng = np.random.default_rng([seed, nearest.train, nearest.heldout])
    by_chance = chance.mean(nearest.train, nearest.heldout, min(x, nearest.heldout)) if nearest.heldout else 0.0
    shares = []
    for _ in range(replicates):
        weights = rng.exponential(size=nearest.train + nearest.heldout)[patient]
        met = np.cumsum(np.where(held & first, weights, 0.0))
        end = int(np.searchsorted(met, x)) if len(met) and met[-1] >= x else len(met)
        above = weights[:end]
        copies = float(above[~held[:end]].sum())
        heldout_samples, heldout_weight = float(above[held[:end]].sum()), max(float(met[min(end, len(met) - 1)]), 1.0)
        shares.append((copies - by_chance * heldout_samples / heldout_weight) / len(patient))
    return tuple(shares)
