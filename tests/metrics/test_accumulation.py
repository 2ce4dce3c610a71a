"""Exposed patients as the release grows: exact within the samples, covered beyond by samples held back."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmark.metrics.accumulation import accumulation, extrapolated, held_back, rarefied

LAWS = {
    "all alike": np.ones(300),
    "zipf": 1 / np.arange(1, 301),
    "ten": (np.arange(300) < 10).astype(float),
    "scattered": np.exp(2 * np.random.default_rng(1).standard_normal(300)),
}


def copies(rng: np.random.Generator, law: str, dose: float, count: int) -> np.ndarray:
    weights = LAWS[law] / LAWS[law].sum()
    return np.where(rng.random(count) < dose, rng.choice(300, count, p=weights), -1)


def test_rarefaction_counts_all_subsets() -> None:
    patient = np.array([0, 0, 0, 1, 1, 2, -1])
    sightings = np.array([3, 2, 1])
    for size in range(1, 8):
        distinct = [len({p for p in chosen if p >= 0}) for chosen in combinations(patient.tolist(), size)]
        assert rarefied(sightings, 7, size) == pytest.approx(np.mean(distinct))


def test_the_curve_rises_to_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    patient = copies(rng, "zipf", 0.2, 1000)
    found = accumulation(patient, 300)
    seen = len(np.unique(patient[patient >= 0]))
    assert (np.diff(found.expected) > 0).all()
    assert found.samples[-1] == 1000
    assert found.expected[-1] == pytest.approx(seen)
    for factor in (10, 100):
        estimate = found.larger[factor]
        assert seen <= estimate.low <= estimate.value <= estimate.high <= 300
    assert found.larger[100].high >= found.larger[10].high


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("dose", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("count", [500, 5000])
def test_a_tenth_predicts_the_whole(law: str, dose: float, count: int) -> None:
    covered = []
    for seed in range(100):
        estimate, shown = held_back(copies(np.random.default_rng(seed), law, dose, count), 300, seed=seed)
        covered.append(estimate.low <= shown <= estimate.high)
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize("law", LAWS)
def test_a_release_a_hundred_times_as_large_is_covered(law: str) -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        now = copies(rng, law, 0.05, 500)
        later = np.unique(np.concatenate([now, copies(rng, law, 0.05, 99 * 500)]))
        sightings = np.bincount(now[now >= 0], minlength=300)
        estimate = extrapolated(sightings[sightings > 0], 500, 100, 300)
        covered.append(estimate.low <= (later >= 0).sum() <= estimate.high)
    assert np.mean(covered) >= 0.93


def test_by_hand() -> None:
    # f1 = 3, f2 = 1, N = 10: f0 = 9 / 10 * 9 / 2 = 4.05, ten more samples find 4.05 (1 - (1 - 3 / 43.5)^10).
    found = extrapolated(np.array([1, 1, 1, 2, 5]), 10, 2, 1000)
    assert found.value == pytest.approx(5 + 4.05 * (1 - (1 - 3 / 43.5) ** 10))
    assert found.low == 5


def test_no_copies_at_hand_are_not_none_for_ever() -> None:
    found = extrapolated(np.array([], dtype=np.int64), 500, 10, 300)
    assert (found.value, found.low) == (0, 0)
    most = -np.log(0.025) * 9  # rule of three, at 97.5 %
    assert found.high == pytest.approx(most + 1.96 * most**0.5)


def test_no_more_patients_than_there_are() -> None:
    found = extrapolated(np.ones(40, dtype=np.int64), 40, 100, 50)
    assert found.value <= found.high == 50
