"""How many more patients are exposed as more samples are released? Rarefaction and unseen-species extrapolation.

Patients are species, copies are sightings; f1, f2 patients are seen once, twice. Up to the N given samples the curve
is exact in expectation (Hurlbert 1971). Beyond, Chao1's number of unseen species (Chao 1984) is met at the rate of
singletons (Chao et al. 2014, iNEXT). Chao1 is a lower bound of the unseen, so far beyond N the curve is a low estimate.
The upper end of the interval is the straight line of the present rate of discovery, f1 / N (Good 1953): that rate can
only fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv, gammaln

from benchmark.metrics.competition import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]

FACTORS = (10, 100)
STEPS = 20


@dataclass(frozen=True)
class Accumulation:
    """Exposed patients by the size of the release."""

    samples: tuple[int, ...]
    """Sizes of the curve, up to N."""
    expected: tuple[float, ...]
    """Expected number of distinct patients in so many of the samples."""
    larger: dict[int, Estimate]
    """By factor: distinct patients in a release that many times as large."""


def accumulation(patient: Codes, train: int, factors: tuple[int, ...] = FACTORS) -> Accumulation:
    """Return the curve over the given samples and its continuation.

    Args:
        patient: (N,) the training patient that each sample copies, -1 where none.
        train: T; no more can be exposed.
        factors: how many times N.
    """
    count, sightings = len(patient), _sightings(patient)
    sizes = np.unique(np.linspace(1, count, STEPS).round().astype(int))
    curve = [rarefied(sightings, count, int(size)) for size in sizes]
    return Accumulation(tuple(sizes.tolist()), tuple(curve), larger_releases(patient, train, factors))


def larger_releases(patient: Codes, train: int, factors: tuple[int, ...] = FACTORS) -> dict[int, Estimate]:
    """Return the distinct patients in larger releases by factor, without the curve; arguments as of `accumulation`."""
    sightings = _sightings(patient)
    return {factor: extrapolated(sightings, len(patient), factor, train) for factor in factors}


def _sightings(patient: Codes) -> Codes:
    """Return how often each patient that is seen at all is seen, ascending by patient."""
    return np.asarray(np.unique(patient[patient >= 0], return_counts=True)[1])


def rarefied(sightings: Codes, count: int, size: int) -> float:
    """Expected number of distinct patients among `size` of `count` samples, from sightings of each patient."""
    left = count - sightings
    possible = left >= size
    logs = gammaln(left[possible] + 1) + gammaln(count - size + 1) - gammaln(left[possible] - size + 1)
    missed = np.exp(logs - gammaln(count + 1)).sum()
    return float(len(sightings) - missed)


def extrapolated(sightings: Codes, count: int, factor: float, train: int) -> Estimate:
    """Distinct patients in factor * count samples, with a 95 % interval.

    Lower end: the same formula with the 5 % lower Poisson bound of f1 and the 5 % upper one of f2 (Garwood 1936), in
    whole patients and never below those seen. Upper end: seen, plus factor - 1 times the 2.5 % upper Poisson bound of
    f1, plus 1.96 roots of that, because discoveries scatter too; never above T. Without any copy it is therefore
    3.69 (factor - 1) and scatter.
    """
    seen = len(sightings)
    once, twice = (float((sightings == k).sum()) for k in (1, 2))
    more, left = (factor - 1) * count, train - seen
    value = _unseen_found(once, twice, count, more, left)
    low = _unseen_found(_poisson(once, 0.05), _poisson(twice + 1, 0.95), count, more, left)
    most = _poisson(once + 1, 0.975) * (factor - 1)
    high = min(left, most + 1.96 * most**0.5)
    return Estimate(value=seen + value, low=seen + float(np.floor(min(low, value))), high=seen + max(high, value))


def _poisson(events: float, level: float) -> float:
    """Mean of a Poisson law that reaches `events` with probability `level`; 0 for no events."""
    return float(gammaincinv(events, level)) if events > 0 else 0.0


def _unseen_found(once: float, twice: float, count: int, more: float, most: float) -> float:
    """New patients in `more` samples: f0 (1 - (1 - f1 / (N f0 + f1))^more), f0 by Chao1, no more than are left."""
    pairs = once**2 / (2 * twice) if twice > 0 else once * (once - 1) / 2
    unseen = min(max(0.0, (count - 1) / count * pairs), most)
    if unseen <= 0:
        return 0.0
    return float(unseen * -np.expm1(more * np.log1p(-once / (count * unseen + once))))


def held_back(patient: Codes, train: int, *, part: int = 10, seed: int) -> tuple[Estimate, int]:
    """Predict all N samples from a random N / part of them: the prediction, and the number that all N show."""
    rng = np.random.default_rng([seed, len(patient), part])
    known = patient[rng.permutation(len(patient))[: max(1, len(patient) // part)]]
    sightings = np.bincount(known[known >= 0], minlength=train)
    estimate = extrapolated(sightings[sightings > 0], len(known), len(patient) / len(known), train)
    return estimate, len(np.unique(patient[patient >= 0]))
