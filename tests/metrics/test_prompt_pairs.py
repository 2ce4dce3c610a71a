"""Prompts: what a caption tells is told of both sides, and cancels."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.bootstrap import clopper_pearson
from benchmark.metrics.prompt_pairs import own_patient_difference


def asked(seed: int, told: float, memory: float, *, patients: int = 60, each: int = 4) -> tuple[np.ndarray, ...]:
    """A caption finds its own patient with a chance of its own, `told` on average; memory adds to training ones."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(3 * told, 3 * (1 - told), 2 * patients)
    patient = np.repeat(np.arange(2 * patients), each)
    in_train = patient < patients
    chance = chance[patient] + memory * in_train * (1 - chance[patient])
    return rng.random(len(patient)) < chance, patient, in_train


@pytest.mark.parametrize("told", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("memory", [0, 0.3])
def test_captions_cancel_and_memory_stays(told: float, memory: float) -> None:
    found = [own_patient_difference(*asked(seed, told, memory)) for seed in range(200)]
    truth = memory * (1 - told)
    covered = [(one.low or 0) <= truth <= (one.high or 0) for one in found]
    assert np.mean(covered) >= 0.93
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.02)
    if not memory:
        assert np.mean([(one.low or 0) > 0 for one in found]) <= 0.05
    elif told < 0.2:
        assert np.mean([(one.low or 0) > 0 for one in found]) >= 0.9


def test_the_audits_captions_raise_no_alarm() -> None:
    """Captions that find their patient in 80 %: p1 read 0.41 and alarmed always."""
    found = [own_patient_difference(*asked(seed, 0.8, 0)) for seed in range(100)]
    assert np.mean([one.value for one in found]) == pytest.approx(0, abs=0.02)


def test_by_hand() -> None:
    own = np.array([True, True, True, False, False, False])
    patient = np.array([7, 7, 3, 3, 20, 21])
    in_train = np.array([True, True, True, True, False, False])
    found = own_patient_difference(own, patient, in_train)
    (low, high), most = clopper_pearson(1.5, 2), clopper_pearson(0, 2)[1]
    assert found.value == 0.75
    assert found.low == pytest.approx(max(-1, 0.75 - np.hypot(0.75 - low, most)))
    assert found.high == pytest.approx(min(1, 0.75 + (high - 0.75)))
    assert found.n == 6


@pytest.mark.parametrize(("side", "reason"), [(True, "held-out"), (False, "training")])
def test_one_side_alone_is_not_scored(side: bool, reason: str) -> None:
    found = own_patient_difference(np.array([True]), np.array([0]), np.array([side]))
    assert found.value is None
    assert found.reason == f"no prompt is of a {reason} patient"
