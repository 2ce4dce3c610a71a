"""The rules of two papers under their names, with the value that each has without any memorisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.bootstrap import percentile_interval, resample_patients, share_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.metrics.copy_rate import PatientScores

    Floats = NDArray[np.floating]
    Rule = Callable[[Floats, Floats, Floats], float]

LEVEL = 0.95
RESAMPLES = 200
BINS = np.linspace(-1, 1, 1001)
"""Edges of the histograms: narrow, because thresholds are at their ends; whoever draws them joins bins."""


def dar2025(
    to_validation: PatientScores, to_synthetic: PatientScores, from_synthetic: PatientScores
) -> dict[str, Score]:
    """N_mem and N_copies of Dar et al. 2025 (2402.01054), each with the value that chance alone gives at these sizes.

    tau is the 95th percentile over training items of the similarity to the nearest validation item; N_mem is the share
    of training items whose nearest synthetic item is above tau, N_copies that of synthetic items whose nearest training
    item is. Lower is better. The neutral value is not 0: a maximum over more items is larger, so that without any
    memorisation N_mem reads up to 1 - 0.95^(N_syn / N_val), N_copies about 1 - 0.95^(N_train / N_val).

    Args:
        to_validation: training items to their nearest validation item; its patients are resampled.
        to_synthetic: the same training items to their nearest synthetic item.
        from_synthetic: synthetic items to their nearest training item.
    """
    samples = (to_validation, to_synthetic, from_synthetic)
    return {
        "published.dar2025.tau": _scored(lambda a, b, c: _tau(a), *samples, share=False),
        "published.dar2025.n_mem": _scored(lambda a, b, c: float((b > _tau(a)).mean()), *samples),
        "published.dar2025.n_copies": replace(
            _scored(lambda a, b, c: float((c > _tau(a)).mean()), *samples), n=len(from_synthetic.values)
        ),
    }


def _tau(values: Floats) -> float:
    return float(np.quantile(values, LEVEL))


def _scored(
    rule: Rule, first: PatientScores, second: PatientScores, third: PatientScores, *, share: bool = True
) -> Score:
    """Resample training patients (the same ones for `first` and `second`) and synthetic items (`third`)."""

    def once(rng: Generator) -> float:
        index = resample_patients(first.codes, rng)[0]
        return rule(first.values[index], second.values[index], third.resample(rng).values)

    value = rule(first.values, second.values, third.values)
    if share:
        low, high = share_interval(once, value, seed=0, patients=min(first.patients, third.patients))
        return Score(value=value, low=low, high=high, n=len(first.values), direction="lower")
    low, high = percentile_interval(once, value, resamples=RESAMPLES)
    return Score(value=value, low=low, high=high, n=len(first.values))


@dataclass(frozen=True)
class Distribution:
    """Similarities of queries to their nearest item of a bank, as Akbar et al. 2025 (2305.07644) show them."""

    scores: dict[str, Score]
    """mean, max and three quantiles, by name."""
    counts: tuple[int, ...]
    """Number of similarities between the edges BINS, -1 to 1 in steps of 0.002."""


def akbar2025(queries: PatientScores) -> Distribution:
    """Mean, maximum, quantiles and histogram of nearest similarities (N,).

    No threshold and no neutral value: compare synthetic -> train with test -> train and synthetic -> held-out. The
    mean and the quantiles grow with the bank, the maximum with the queries too.
    """
    rules: dict[str, Callable[[Floats], np.floating]] = {
        "mean": lambda values: np.mean(values),
        "q50": lambda values: np.quantile(values, 0.5),
        "q95": lambda values: np.quantile(values, 0.95),
        "q99": lambda values: np.quantile(values, 0.99),
    }
    count, scores = len(queries.values), {}
    for name, rule in rules.items():
        value = float(rule(queries.values))
        low, high = percentile_interval(_resampled(rule, queries), value, resamples=RESAMPLES)
        scores[name] = Score(value=value, low=low, high=high, n=count)
    scores["max"] = Score(value=float(queries.values.max()), n=count)
    counts = np.histogram(np.clip(queries.values, -1, 1), BINS)[0]
    return Distribution(scores, tuple(int(c) for c in counts))


def _resampled(rule: Callable[[Floats], np.floating], queries: PatientScores) -> Callable[[Generator], float]:
    return lambda rng: float(rule(queries.resample(rng).values))
