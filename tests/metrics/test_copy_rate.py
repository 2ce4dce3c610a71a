"""Shares above a calibrated threshold and the separation of members, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.calibration import conformal_quantile
from benchmark.metrics.copy_rate import PatientScores, membership, share_above, threshold


def sample(rng: np.random.Generator, patients: int, items: int = 4, shift: float = 0.0) -> PatientScores:
    """Similarities of patients whose items resemble each other."""
    codes = np.repeat(np.arange(patients), items)
    return PatientScores(rng.standard_normal(patients)[codes] + 0.3 * rng.standard_normal(len(codes)) + shift, codes)


# Samples


def test_items_that_stand_alone_are_patients_of_their_own() -> None:
    alone = PatientScores.alone(np.array([0.3, 0.1, 0.2]))
    assert alone.codes.tolist() == [0, 1, 2]
    assert alone.patients == 3


def test_resampling_keeps_values_with_their_patients() -> None:
    codes = np.array([0, 1, 1, 2, 2, 2])
    drawn = PatientScores(codes * 1.0, codes).resample(np.random.default_rng(0))
    assert drawn.patients == 3
    for patient in range(3):
        values = drawn.values[drawn.codes == patient]
        assert len(set(values.tolist())) == 1
        assert len(values) == values[0] + 1


# Threshold


def test_threshold_is_the_conformal_quantile_with_its_interval() -> None:
    given = sample(np.random.default_rng(1), 60)
    found = threshold(given)
    assert found.value == conformal_quantile(given.values, given.codes)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert (found.n, found.direction, found.reason) == (60, "none", "")


@pytest.mark.parametrize(("patients", "few"), [(18, True), (19, False)])
def test_too_few_calibration_patients_are_said(patients: int, few: bool) -> None:
    found = threshold(sample(np.random.default_rng(2), patients))
    assert found.value is not None
    assert found.reason == ("18 calibration patients; 19 are needed for the 5 % guarantee" if few else "")


# Shares


def test_share_above_by_hand() -> None:
    reference = PatientScores.alone(np.arange(1.0, 40.0))  # tau is 38
    queries = PatientScores(np.array([37.0, 38.0, 38.5, 40.0, 50.0]), np.array([0, 0, 0, 0, 1]))
    found = share_above(queries, reference)
    assert found.value == pytest.approx((2 / 4 + 1) / 2)
    assert (found.n, found.direction) == (5, "lower")
    assert share_above(queries, reference, direction="none").direction == "none"


def test_share_of_nothing_and_of_everything() -> None:
    reference = PatientScores.alone(np.arange(1.0, 40.0))
    none = share_above(PatientScores.alone(np.zeros(25)), reference)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 25))
    every = share_above(PatientScores.alone(np.full(25, 99.0)), reference)
    assert every.value == pytest.approx(1)
    assert every.high == pytest.approx(1)
    assert every.low == pytest.approx(0.025 ** (1 / 25))


def test_the_null_of_new_patients_is_five_percent() -> None:
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(300):
        tau = threshold_of(sample(rng, 39))
        new = sample(rng, 20)
        shares.append((new.values > tau).mean())
    assert 0.02 < np.mean(shares) < 0.06


def threshold_of(given: PatientScores) -> float:
    return conformal_quantile(given.values, given.codes)


def test_intervals_hold_the_null_of_the_rule() -> None:
    """Both sides are resampled: with tau from so few patients, the queries' own spread alone would be too narrow."""
    rng = np.random.default_rng(4)
    found = [share_above(sample(rng, 40), sample(rng, 39)) for _ in range(20)]
    held = [score.low <= 0.05 <= score.high for score in found if score.low is not None and score.high is not None]
    assert len(held) == 20
    assert sum(held) >= 17


def test_queries_nearer_than_real_ones_are_found() -> None:
    rng = np.random.default_rng(5)
    found = share_above(sample(rng, 40, shift=5), sample(rng, 39))
    assert found.low is not None
    assert found.low > 0.5


# Members


def test_members_that_are_apart() -> None:
    found = membership(PatientScores.alone(np.linspace(0.8, 0.9, 50)), PatientScores.alone(np.linspace(0.1, 0.7, 70)))
    assert set(found) == {"auc", "tpr_at_1_fpr"}
    for score in found.values():
        assert (score.value, score.low, score.high) == (1, 1, 1)
        assert (score.n, score.direction) == (120, "lower")


def test_members_like_others_read_a_half() -> None:
    rng = np.random.default_rng(6)
    found = [membership(sample(rng, 50), sample(rng, 40)) for _ in range(10)]
    held = [one["auc"].low <= 0.5 <= one["auc"].high for one in found]  # type: ignore[operator]
    assert sum(held) >= 9
    assert np.mean([one["auc"].value for one in found]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([one["tpr_at_1_fpr"].value for one in found]) < 0.06


def test_intervals_take_patients_as_the_unit() -> None:
    rng = np.random.default_rng(7)
    members, others = sample(rng, 30, items=10), sample(rng, 30, items=10)
    by_patient = membership(members, others)["auc"]
    by_item = membership(PatientScores.alone(members.values), PatientScores.alone(others.values))["auc"]
    assert by_patient.value == by_item.value
    assert by_patient.high - by_patient.low > 1.5 * (by_item.high - by_item.low)  # type: ignore[operator]
