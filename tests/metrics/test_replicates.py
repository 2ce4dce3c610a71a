"""Paired differences of two models of one cohort: how often equal models are told apart, and unequal ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics import negative_hypergeometric as chance
from benchmark.metrics import replicates as module
from benchmark.metrics.competition import Nearest, exposed, nearest_of_patients, priorities
from benchmark.metrics.replicates import GROUP, deepest_sample, share_replicates

TRAIN, HELDOUT, SAMPLES = 120, 80, 300


def model(rng: np.random.Generator, people: np.ndarray, dose: float) -> Nearest:
    """Samples of nobody, and a share of near-exact copies of random training patients."""
    made = rng.standard_normal((SAMPLES, people.shape[1]))
    copies = round(dose * SAMPLES)
    made[:copies] = people[rng.integers(0, TRAIN, copies)] + 0.02 * rng.standard_normal((copies, people.shape[1]))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (made, people)]
    matrix = unit[0] @ unit[1].T
    return nearest_of_patients(matrix[:, :TRAIN], matrix[:, TRAIN:], seed=0)


def replicates(nearest: Nearest) -> np.ndarray:
    return np.array(share_replicates(nearest, max(1, exposed(nearest).depth // 2), seed=0))


def below(first: Nearest, second: Nearest) -> bool:
    """As boards rank: the 95 % interval of the paired difference is above 0, and the second is shown to copy."""
    low = np.quantile(replicates(second) - replicates(first), 0.025)
    return bool(low > 0 and exposed(second).samples.low > 0)


def pairs(one: float, other: float, draws: int) -> float:
    separated = 0
    for draw in range(draws):
        rng = np.random.default_rng([7, draw])
        people = rng.standard_normal((TRAIN + HELDOUT, 10))
        first, second = (model(rng, people, dose) for dose in (one, other))
        separated += below(first, second) or below(second, first)
    return separated / draws


@pytest.mark.parametrize("dose", [0.0, 0.03, 0.1])
def test_equal_models_are_seldom_told_apart(dose: float) -> None:
    """Two independent sets of samples with the same share of copies: at most 5 %, up to the error of 80 draws."""
    assert pairs(dose, dose, 80) <= 0.05 + 3 * (0.05 * 0.95 / 80) ** 0.5


def test_three_and_ten_per_cent_are_told_apart() -> None:
    assert pairs(0.03, 0.1, 30) >= 0.95


def test_one_model_differs_from_itself_in_no_replicate() -> None:
    """Weights depend on the cohort's sizes and the seed, not on the samples."""
    rng = np.random.default_rng(0)
    nearest = model(rng, rng.standard_normal((TRAIN + HELDOUT, 10)), 0.05)
    order = rng.permutation(SAMPLES)
    shuffled = Nearest(nearest.similarity[order], nearest.patient[order], TRAIN, HELDOUT, nearest.priority)
    assert replicates(shuffled) == pytest.approx(replicates(nearest))
    assert share_replicates(nearest, 1, seed=1) != share_replicates(nearest, 1, seed=0)


def test_replicates_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all weights 1 a replicate is copies above t_x less what held-out samples say of chance."""

    class Ones:
        def exponential(self, size: int) -> np.ndarray:
            return np.ones(size)

    monkeypatch.setattr(np.random, "default_rng", lambda *_: Ones())
    patient = np.array([0, 0, 1, 3, 2, 3, 4, 1])  # 0, 1, 2 training, 3, 4, 5 held-out
    nearest = Nearest(np.linspace(0.9, 0.2, 8), patient, 3, 3, np.arange(6.0))
    # Before the first held-out patient: three training samples, and no held-out sample that tells of chance.
    assert share_replicates(nearest, 1, seed=0, replicates=1) == pytest.approx((3 / 8,))
    # Before the second: four training samples, two held-out ones of total weight 2; E[K_2] = 6 / 4.
    assert share_replicates(nearest, 2, seed=0, replicates=1) == pytest.approx(((4 - 1.5 * 2 / 2) / 8,))


def one_by_one(nearest: Nearest, x: int, seed: int) -> list[tuple[float, int]]:
    """The definition, draw by draw and sample by sample: the replicate, and at which sample it ends."""
    falling = np.argsort(-nearest.similarity, kind="stable")
    rng = np.random.default_rng([seed, nearest.train, nearest.heldout])
    found = []
    for _ in range(200):
        weights = rng.exponential(size=-(-(nearest.train + nearest.heldout) // GROUP))
        sums, met, end = [0.0, 0.0], 0.0, len(falling)
        seen: set[int] = set()
        for place, sample in enumerate(falling):
            patient = int(nearest.patient[sample])
            weight = weights[int(nearest.priority[patient]) // GROUP]
            held = patient >= nearest.train
            if held and patient not in seen:
                seen.add(patient)
                met += weight
                if met >= x:
                    end = place
                    break
            sums[held] += weight
        by_chance = chance.mean(nearest.train, nearest.heldout, min(x, nearest.heldout))
        found.append(((sums[0] - by_chance * sums[1] / max(met, 1.0)) / len(falling), end))
    return found


@pytest.mark.parametrize(("heldout", "x"), [(80, 1), (80, 4), (80, 10), (9, 3), (3, 10)])
def test_all_draws_at_once_are_the_same_as_one_by_one(heldout: int, x: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 1000)  # several blocks
    rng = np.random.default_rng([heldout, x])
    nearest = Nearest(
        rng.random(300).round(2), rng.integers(0, 40 + heldout, 300), 40, heldout, priorities(40, heldout, 1)
    )
    expected = one_by_one(nearest, x, 0)
    assert share_replicates(nearest, x, seed=0) == pytest.approx([value for value, _ in expected])
    assert deepest_sample(nearest, x, seed=0) == min(max(end for _, end in expected) + 1, 300)


def test_the_replicates_scatter_around_the_share() -> None:
    rng = np.random.default_rng(1)
    drawn = [replicates(model(rng, rng.standard_normal((TRAIN + HELDOUT, 10)), 0.1)) for _ in range(10)]
    assert np.mean(drawn) == pytest.approx(0.1, abs=0.02)
    assert 0.005 < np.mean([values.std() for values in drawn]) < 0.05
