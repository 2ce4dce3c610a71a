"""Thresholds, resampling by patient and rank statistics, against slow references and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmark.metrics.calibration import (
    CONFORMAL_PATIENTS,
    auc,
    conformal_quantile,
    patient_share,
    patient_weights,
    tpr_at_fpr,
)


def patients(rng: np.random.Generator, count: int, most: int = 6) -> np.ndarray:
    """Codes of patients with 1 to `most` items, in mixed order."""
    return rng.permutation(np.repeat(np.arange(count), rng.integers(1, most + 1, count)))


# Quantile


def slow_quantile(values: np.ndarray, codes: np.ndarray, level: float) -> float:
    """The lowest value that patients, and one more at infinity, are at or below by `level` in the mean."""
    names = sorted(set(codes.tolist()))
    for value in sorted(values.tolist()):
        shares = [float(np.mean(values[codes == name] <= value)) for name in names]
        if sum(shares) / (len(names) + 1) >= level - 1e-12:
            return float(value)
    return float(max(values))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_conformal_quantile_against_a_slow_reference(level: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        codes = patients(rng, int(rng.integers(1, 50)))
        values = rng.standard_normal(len(codes)).round(int(rng.integers(0, 4)))  # with ties
        assert conformal_quantile(values, codes, level) == slow_quantile(values, codes, level)


def test_conformal_quantile_by_hand() -> None:
    values = np.arange(1.0, 20.0)
    assert conformal_quantile(values, np.arange(19)) == 19.0  # 19 of 19 + 1 are 95 %
    assert conformal_quantile(np.arange(1.0, 40.0), np.arange(39)) == 38.0  # 38 of 40
    assert conformal_quantile(values[:5], np.arange(5)) == 5.0  # never infinite
    # A patient with 98 low items weighs as much as one with a single high one.
    assert conformal_quantile(np.array([0.0] * 98 + [1.0, 2.0]), np.array([0] * 98 + [1, 2]), 0.5) == 1.0


def test_conformal_quantile_keeps_its_promise_where_pooled_items_do_not() -> None:
    rng = np.random.default_rng(1)
    draws, count = 3000, 39
    exceeded, pooled = 0, 0
    for _ in range(draws):
        effects = rng.standard_normal(count + 1)
        sizes = np.where(effects < 0, 12, 1)  # patients far from training have many slices
        codes = np.repeat(np.arange(count), sizes[:-1])
        values = effects[codes] + 0.2 * rng.standard_normal(len(codes))
        new = effects[-1] + 0.2 * rng.standard_normal()
        exceeded += new > conformal_quantile(values, codes)
        pooled += new > np.quantile(values, 0.95)
    noise = 3 * (0.05 * 0.95 / draws) ** 0.5
    assert 0.05 - 1 / (count + 1) - noise <= exceeded / draws <= 0.05 + noise
    assert pooled / draws > 0.1


def test_nineteen_patients_are_the_fewest_with_a_guarantee() -> None:
    assert CONFORMAL_PATIENTS / (CONFORMAL_PATIENTS + 1) == 0.95
    rng = np.random.default_rng(2)
    draws = rng.standard_normal((3000, CONFORMAL_PATIENTS + 1))
    exceeded = [row[-1] > conformal_quantile(row[:-1], np.arange(CONFORMAL_PATIENTS)) for row in draws]
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.012)


# Patients


def test_patients_weigh_the_same() -> None:
    codes = np.array([0, 1, 1, 1, 2, 2])
    np.testing.assert_allclose(patient_weights(codes), [1 / 3, *[1 / 9] * 3, *[1 / 6] * 2])
    above = np.array([True, True, False, False, False, True])
    assert patient_share(above, codes) == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    assert patient_share(np.ones(6, bool), codes) == pytest.approx(1)
    assert patient_share(np.zeros(6, bool), codes) == 0


# Ranks


def test_auc_against_sklearn() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        positive = rng.normal(0.5, 1, int(rng.integers(1, 80))).round(1)  # with ties
        negative = rng.normal(0, 1, int(rng.integers(1, 80))).round(1)
        labels = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
        assert auc(positive, negative) == pytest.approx(roc_auc_score(labels, np.r_[positive, negative]))


def test_auc_at_its_ends() -> None:
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert auc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 0
    assert auc(np.zeros(5), np.zeros(7)) == 0.5


def test_tpr_at_fpr_is_the_best_that_any_threshold_reaches() -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        positive = rng.normal(1, 1, 50).round(1)
        negative = rng.normal(0, 1, int(rng.integers(5, 300))).round(1)
        for fpr in (0.01, 0.1):
            values = np.r_[positive, negative]
            allowed = [t for t in values if (negative > t).mean() <= fpr + 1e-12]
            assert tpr_at_fpr(positive, negative, fpr) == max(float((positive > t).mean()) for t in allowed)


def test_tpr_at_fpr_by_hand() -> None:
    negative = np.arange(100.0)
    positive = np.array([97.5, 98.5, 99.5, 0.0])
    assert tpr_at_fpr(positive, negative, 0.01) == 0.5  # above 98, which one of 100 exceeds
    assert tpr_at_fpr(positive, negative, 0.0) == 0.25
    assert tpr_at_fpr(positive, np.arange(50.0), 0.01) == 0.75
