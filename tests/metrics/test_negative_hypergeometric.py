"""The law of chance, against all orders of small cohorts."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.stats import nhypergeom

from benchmark.metrics.competition import SPENDING
from benchmark.metrics.negative_hypergeometric import boundary, crossing, lower, mean, pmf, upper

SMALL = [(5, 4), (3, 6), (7, 2), (1, 1), (2, 2), (6, 6)]


def orders(train: int, heldout: int) -> np.ndarray:
    """K_1 .. K_H of all equally likely orders, (orders, H)."""
    places = combinations(range(train + heldout), heldout)
    return np.array([[place - before for before, place in enumerate(chosen)] for chosen in places])


@pytest.mark.parametrize(("train", "heldout"), SMALL)
def test_pmf_counts_orders(train: int, heldout: int) -> None:
    every = orders(train, heldout)
    assert len(every) == comb(train + heldout, heldout)
    for x in range(1, heldout + 1):
        counted = np.bincount(every[:, x - 1], minlength=train + 1) / len(every)
        np.testing.assert_allclose(pmf(train, heldout, x), counted, atol=1e-12)
        np.testing.assert_allclose(nhypergeom(train + heldout, train, x).pmf(np.arange(train + 1)), counted, atol=1e-12)
        assert mean(train, heldout, x) == pytest.approx(every[:, x - 1].mean())


def test_pmf_of_large_cohorts_sums_to_one() -> None:
    for train, heldout, x in [(300, 150, 5), (2000, 400, 1), (100_000, 20_000, 3), (0, 3, 2)]:
        assert pmf(train, heldout, x).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("x", [0, 5])
def test_a_held_out_patient_that_is_not_there(x: int) -> None:
    with pytest.raises(ValueError, match=f"there is no held-out patient number {x} among 4"):
        pmf(5, 4, x)


@pytest.mark.parametrize(("train", "heldout"), SMALL)
@pytest.mark.parametrize("error", [0.01, 0.025, 0.1, 0.3])
def test_quantiles_are_the_sharpest_that_hold(train: int, heldout: int, error: float) -> None:
    every = orders(train, heldout)
    for x in range(1, heldout + 1):
        found = every[:, x - 1]
        q = upper(train, heldout, x, error)
        assert np.mean(found > q) <= error + 1e-12
        assert q == 0 or np.mean(found > q - 1) > error
        q = lower(train, heldout, x, error)
        assert np.mean(found < q) <= error + 1e-12
        assert q == train or np.mean(found < q + 1) > error


def test_quantiles_where_no_such_patient_comes() -> None:
    assert upper(7, 2, 3, 0.025) == 7
    assert lower(7, 2, 3, 0.025) == 0
    assert boundary(7, 0, SPENDING) == (7, 7, 7)


@pytest.mark.parametrize(("train", "heldout"), SMALL)
@pytest.mark.parametrize("exposed", [0, 1, 2])
def test_crossing_counts_orders(train: int, heldout: int, exposed: int) -> None:
    if exposed > train:
        return
    every = orders(train - exposed, heldout)
    rng = np.random.default_rng(train + heldout)
    for _ in range(20):
        bounds = tuple(np.sort(rng.integers(0, train + 1, min(3, heldout))).tolist())
        counted = (exposed + every[:, : len(bounds)] > np.array(bounds)).any(axis=1).mean()
        assert crossing(train, heldout, bounds, exposed=exposed) == pytest.approx(counted, abs=1e-12)


@pytest.mark.parametrize(("train", "heldout"), SMALL)
@pytest.mark.parametrize("spending", [SPENDING, (0.05, 0.1, 0.2), (0.0, 0.3)])
def test_bounds_hold_together_and_none_can_be_smaller(train: int, heldout: int, spending: tuple[float, ...]) -> None:
    every, bounds = orders(train, heldout), boundary(train, heldout, spending)
    for x in range(1, min(len(spending), heldout) + 1):
        crossed = (every[:, :x] > np.array(bounds[:x])).any(axis=1).mean()
        assert crossed <= spending[x - 1] + 1e-12
        if bounds[x - 1] > (bounds[x - 2] if x > 1 else 0):
            less = np.array([*bounds[: x - 1], bounds[x - 1] - 1])
            assert (every[:, :x] > less).any(axis=1).mean() > spending[x - 1]


@pytest.mark.parametrize(("train", "heldout"), [(300, 150), (2000, 400), (2000, 2000), (60, 10), (10, 1000)])
def test_bounds_spend_nearly_all_of_their_error(train: int, heldout: int) -> None:
    spent = crossing(train, heldout, boundary(train, heldout, SPENDING))
    assert spent <= 0.025
    assert spent > 0.02 or heldout > train  # few whole numbers are left where K is 0, 1 or 2


def test_bounds_do_not_jump_with_one_patient_more_or_less() -> None:
    heldout = np.arange(60, 400)
    for train in (149, 300, 2000):
        found = np.array([boundary(train, int(h), SPENDING) for h in heldout])
        slope = found[:-1] / heldout[:-1, None]  # q is about proportional to 1 / H
        assert (np.abs(np.diff(found, axis=0)) <= 3 + 0.12 * found[:-1]).all()
        assert (np.abs(np.diff(found[:, 0])) <= 1 + slope[:, 0]).all()
        assert (np.diff(found[:, 0]) <= 0).all()
