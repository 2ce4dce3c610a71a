"""Thresholds, resampling by patient and rank statistics, against slow references and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from benchmark.metrics import calibration
from benchmark.metrics.calibration import (
    CONFORMAL_PATIENTS,
    auc,
    benjamini_hochberg,
    conformal_quantile,
    interval,
    patient_share,
    patient_weights,
    resample_patients,
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


def test_resampling_draws_whole_patients() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        codes = patients(rng, int(rng.integers(1, 12)))
        count = int(codes.max()) + 1
        index, drawn = resample_patients(codes, rng)
        assert sorted(set(drawn.tolist())) == list(
            range(count)
        )  # as many patients as before, a repeated patient counts again
        for patient in range(count):
            items = index[drawn == patient]
            (original,) = set(codes[items].tolist())
            assert sorted(items.tolist()) == np.flatnonzero(codes == original).tolist()


def test_resampling_draws_every_patient_equally_often() -> None:
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(4), [1, 2, 3, 10])
    chosen = np.zeros(4)
    for _ in range(4000):
        index, drawn = resample_patients(codes, rng)
        first = np.unique(drawn, return_index=True)[1]
        chosen += np.bincount(codes[index[first]], minlength=4)
    np.testing.assert_allclose(chosen / 4000, 1.0, atol=0.06)


# Intervals


@pytest.mark.parametrize("n", [1, 20, 500])
def test_none_and_all_get_the_exact_binomial_bound(n: int) -> None:
    none = interval(lambda rng: 0.0, 0.0, seed=0, n=n)
    everything = interval(lambda rng: 1.0, 1.0, seed=0, n=n)
    exact = stats.binomtest(0, n).proportion_ci(0.95, method="exact")
    assert none == pytest.approx((exact.low, exact.high))
    assert everything == pytest.approx((1 - exact.high, 1.0))


def test_the_interval_is_that_of_the_resamples() -> None:
    low, high = interval(lambda rng: float(rng.normal(0.4, 0.1)), 0.4, seed=0, n=50)
    assert low == pytest.approx(0.4 - 0.196, abs=0.03)
    assert high == pytest.approx(0.4 + 0.196, abs=0.03)
    assert interval(lambda rng: float(rng.random()), 0.4, seed=1, n=50) == interval(
        lambda rng: float(rng.random()), 0.4, seed=1, n=50
    )


def test_the_interval_holds_its_value() -> None:
    assert interval(lambda rng: 0.2, 0.5, seed=0, n=10) == (0.2, 0.5)
    assert interval(lambda rng: 0.8, 0.5, seed=0, n=10) == (0.5, 0.8)


def test_intervals_by_patient_cover_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "RESAMPLES", 200)
    rng = np.random.default_rng(5)
    covered, naive = 0, 0
    for draw in range(60):
        codes = np.repeat(np.arange(40), 8)
        above = (rng.random(40) < 0.3)[codes]  # all items of a patient agree
        value = patient_share(above, codes)

        def once(generator: np.random.Generator, above: np.ndarray = above, codes: np.ndarray = codes) -> float:
            index, drawn = resample_patients(codes, generator)
            return patient_share(above[index], drawn)

        low, high = interval(once, value, seed=draw, n=40)
        covered += low <= 0.3 <= high
        half = 1.96 * (value * (1 - value) / len(codes)) ** 0.5
        naive += abs(value - 0.3) <= half
    assert covered >= 53
    assert naive < 40  # items as if independent


# Benjamini-Hochberg


def slow_selection(p: np.ndarray, rate: float) -> np.ndarray:
    """Step up: the largest k whose k-th smallest p-value is at most rate k / n."""
    ordered = sorted(p.tolist())
    best = max([k for k in range(1, len(p) + 1) if ordered[k - 1] <= rate * k / len(p)], default=0)
    return np.array([best > 0 and value <= ordered[best - 1] for value in p])


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_benjamini_hochberg_against_references(rate: float) -> None:
    rng = np.random.default_rng(6)
    for _ in range(60):
        p = rng.random(int(rng.integers(1, 60))) ** rng.choice([1, 3, 6])
        found = benjamini_hochberg(p, rate)
        assert np.array_equal(found, slow_selection(p, rate))
        assert np.array_equal(found, stats.false_discovery_control(p) <= rate)


def test_benjamini_hochberg_by_hand() -> None:
    p = np.array([0.9, 0.01, 0.06, 0.03, 0.5])
    assert benjamini_hochberg(p, 0.1).tolist() == [False, True, True, True, False]
    assert not benjamini_hochberg(np.array([0.2, 0.9])).any()
    assert benjamini_hochberg(np.array([0.1])).all()
    assert benjamini_hochberg(np.array([])).tolist() == []


def test_benjamini_hochberg_at_the_very_limit() -> None:
    """Three p-values at exactly 0.5 * 3 / 17: multiplied by 17 / 3, rounding puts them above 0.5."""
    p = np.r_[np.full(3, 15 / 170), np.ones(14)]
    assert not (stats.false_discovery_control(p) <= 0.5).any()
    assert benjamini_hochberg(p, 0.5).sum() == 3


def test_benjamini_hochberg_step_up_rescues_smaller_ones() -> None:
    assert benjamini_hochberg(np.array([0.09, 0.09, 0.09]), 0.1).all()  # the first alone misses 0.1 / 3


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
