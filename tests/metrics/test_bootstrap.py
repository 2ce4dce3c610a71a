"""Intervals of shares: monotone in the count, never narrower than Clopper and Pearson's by patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmark.metrics.copy_rate import PatientScores
from benchmark.metrics.patient_shares import clopper_pearson, flagged_share, share_above


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
