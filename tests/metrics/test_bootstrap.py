"""Intervals of shares: monotone in the count, never narrower than Clopper and Pearson's by patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmark.metrics.bootstrap import (
    clopper_pearson,
    flagged_share,
    percentile_interval,
    resample_patients,
    share_interval,
)
from benchmark.metrics.copy_rate import PatientScores, share_above


@pytest.mark.parametrize("trials", [1, 2, 10, 500])
def test_clopper_pearson_is_scipys(trials: int) -> None:
    for successes in {0, 1, trials // 3, trials - 1, trials}:
        exact = binomtest(successes, trials).proportion_ci(0.95, "exact")
        assert clopper_pearson(successes, trials) == pytest.approx((exact.low, exact.high))


def test_parts_of_successes_lie_between() -> None:
    found = np.array([clopper_pearson(k / 7, 9) for k in range(64)])
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[:, 0] <= np.arange(64) / 63 + 1e-12).all()
    assert (found[:, 1] >= np.arange(64) / 63 - 1e-12).all()


def test_upper_ends_of_0_1_2_of_500() -> None:
    """The audit's example: they were 0.0074, 0.0060 and 0.010."""
    near = PatientScores(np.random.default_rng(0).random(2000), np.arange(2000))
    found = []
    for count in (0, 1, 2, 3):
        values = np.zeros(500)
        values[:count] = 2
        found.append(share_above(PatientScores.alone(values), near))
    highs = [score.high for score in found]
    assert highs[:3] == pytest.approx([0.0074, 0.0111, 0.0144], abs=5e-5)
    assert highs == sorted(highs)
    assert [score.value for score in found] == [0, 0.002, 0.004, 0.006]


@pytest.mark.parametrize("seed", range(10))
def test_more_flags_never_lower_an_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.sort(rng.integers(0, 12, 80))
    codes = np.unique(codes, return_inverse=True)[1]
    order, flags = rng.permutation(80), np.zeros(80, dtype=bool)
    before = flagged_share(flags, codes)
    for item in order:
        flags[item] = True
        now = flagged_share(flags, codes)
        assert now.low is not None
        assert now.high is not None
        assert now.low >= (before.low or 0)
        assert now.high >= (before.high or 0)
        assert now.low <= (now.value or 0) <= now.high
        exact = clopper_pearson((now.value or 0) * (codes.max() + 1), int(codes.max()) + 1)
        assert now.low <= exact[0] + 1e-12
        assert now.high >= exact[1] - 1e-12
        before = now


def test_slices_do_not_narrow_the_interval() -> None:
    flags = np.arange(20) < 4
    one = flagged_share(flags, np.arange(20))
    many = flagged_share(np.repeat(flags, 50), np.repeat(np.arange(20), 50))
    assert (many.value, many.low, many.high) == pytest.approx((one.value, one.low, one.high))


def test_the_interval_covers_shares_of_patients() -> None:
    covered = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        chance = rng.beta(0.5, 4, 40)  # of each patient
        codes = np.repeat(np.arange(40), 10)
        found = flagged_share(rng.random(400) < chance[codes], codes)
        covered.append((found.low or 0) <= 0.5 / 4.5 <= (found.high or 1))
    assert np.mean(covered) >= 0.95 - 0.04


# Resampling


def patients(rng: np.random.Generator, count: int, most: int = 6) -> np.ndarray:
    """Codes of patients with 1 to `most` items, in mixed order."""
    return rng.permutation(np.repeat(np.arange(count), rng.integers(1, most + 1, count)))


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


def test_the_percentile_interval_is_that_of_the_resamples() -> None:
    low, high = percentile_interval(lambda rng: float(rng.normal(0.4, 0.1)), 0.4)
    assert low == pytest.approx(0.4 - 0.196, abs=0.03)
    assert high == pytest.approx(0.4 + 0.196, abs=0.03)
    assert percentile_interval(lambda rng: float(rng.random()), 0.4) == percentile_interval(
        lambda rng: float(rng.random()), 0.4
    )


def test_the_percentile_interval_holds_its_value() -> None:
    assert percentile_interval(lambda rng: 0.2, 0.5) == (0.2, 0.5)
    assert percentile_interval(lambda rng: 0.8, 0.5) == (0.5, 0.8)


@pytest.mark.parametrize("n", [1, 20, 500])
def test_none_and_all_get_the_exact_binomial_bound(n: int) -> None:
    exact = binomtest(0, n).proportion_ci(0.95, method="exact")
    assert share_interval(lambda rng: 0.0, 0.0, seed=0, patients=n) == pytest.approx((exact.low, exact.high))
    assert share_interval(lambda rng: 1.0, 1.0, seed=0, patients=n) == pytest.approx((1 - exact.high, 1.0))


def test_the_wider_end_of_both_intervals_is_taken() -> None:
    """Resamples from 0 to 1 are wider than the binomial interval; resamples without spread are narrower."""
    assert share_interval(lambda rng: float(rng.random() < 0.5), 0.5, seed=0, patients=1000) == (0, 1)
    assert share_interval(lambda rng: 0.5, 0.5, seed=0, patients=40) == pytest.approx(clopper_pearson(20, 40))
