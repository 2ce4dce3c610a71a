"""The trend test: exact against all orders and SciPy, ties, both sources of error, Holm."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import page_trend_test, rankdata

from benchmark.metrics.trends import Trend, holm, mover_p, page_p, replicate_spread, trend

WIDE = 1e-9
"""Half of an interval so narrow that patients decide nothing."""


def outcome_of(values: list[list[float]], half: float = WIDE, **more: object) -> Trend:
    table = np.array(values, dtype=float)
    return trend(table, table - half, table + half, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("blocks", "levels"), [(2, 3), (3, 4), (5, 5), (2, 6)])
def test_without_ties_it_is_pages_exact_test(blocks: int, levels: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).random((blocks, levels)) + 0.1 * np.arange(levels)
        assert page_p(values) == pytest.approx(page_trend_test(values, method="exact").pvalue, abs=1e-12)


def test_with_ties_it_is_the_share_of_all_orders() -> None:
    values = np.array([[0.0, 0.0, 0.1, 0.1], [0.2, 0.0, 0.0, 0.3]])
    numbers = np.arange(1, 5)
    ranks = [rankdata(row) for row in values]
    observed = sum(float(row @ numbers) for row in ranks)
    sums = [
        sum(float(np.array(row) @ numbers) for row in pair)
        for pair in ((a, b) for a in permutations(ranks[0]) for b in permutations(ranks[1]))
    ]
    assert page_p(values) == pytest.approx(np.mean(np.array(sums) >= observed - 1e-9))


def test_all_values_equal_is_no_trend() -> None:
    assert page_p(np.zeros((3, 4))) == 1
    assert outcome_of([[0.0] * 4] * 3).direction == "neither"
    assert outcome_of([[0.0] * 4] * 3).p == 1


def test_many_levels_take_the_normal_distribution() -> None:
    values = np.random.default_rng(1).random((3, 14)) + 0.02 * np.arange(14)
    assert page_p(values) == pytest.approx(page_trend_test(values, method="asymptotic").pvalue, rel=0.05)


@pytest.mark.parametrize(("blocks", "levels"), [(1, 3), (1, 5), (2, 4)])
def test_p_is_never_below_what_so_many_blocks_can_give(blocks: int, levels: int) -> None:
    one = outcome_of([[0.1 * place for place in range(levels)]] * blocks, claim="rises")
    assert one.p_trainings == one.least == pytest.approx(1 / math.factorial(levels) ** blocks)
    assert outcome_of([[0.1 * place for place in range(levels)]] * blocks).least == pytest.approx(2 * one.least)


def test_wide_intervals_keep_a_trend_over_trainings_from_being_claimed() -> None:
    values = [[0.10, 0.12, 0.14, 0.16]] * 4
    narrow, wide = outcome_of(values, 0.005), outcome_of(values, 0.2)
    assert narrow.p < 0.001
    assert wide.p_trainings == narrow.p_trainings
    assert wide.p == wide.p_patients > 0.05


def test_trainings_that_disagree_keep_a_trend_from_being_claimed() -> None:
    one = outcome_of([[0.1, 0.5, 0.2], [0.5, 0.1, 0.4], [0.2, 0.1, 0.9]])
    assert one.p == one.p_trainings > 0.05
    assert one.p_patients < 0.05


def test_a_known_interval_gives_a_known_p() -> None:
    # Weights -1, 0, 1: the sum is 0.2, its error hypot(0.05, 0.05) at 1.96 standard deviations.
    values = np.array([[0.1, 0.9, 0.3]])
    expected = 0.5 * math.erfc(1.959963984540054 * 0.2 / math.hypot(0.05, 0.05) / math.sqrt(2))
    assert mover_p(values, values - 0.05, values + 0.05) == pytest.approx(expected)
    # Only the ends towards each other count: the first level's upper one, the last one's lower one.
    far, near = np.array([0.7, 0.7, 0.05]), np.array([0.05, 0.7, 0.7])
    assert mover_p(values, values - far, values + near) == pytest.approx(expected)


def test_more_seeds_do_not_shrink_the_error_of_patients() -> None:
    values = np.array([[0.1, 0.2, 0.3]])
    one = mover_p(values, values - 0.1, values + 0.1)
    assert mover_p(np.repeat(values, 9, 0), np.repeat(values - 0.1, 9, 0), np.repeat(values + 0.1, 9, 0)) == one


def test_what_replicates_share_falls_out() -> None:
    shared = np.random.default_rng(0).standard_normal(500)
    same = np.tile(shared, (2, 3, 1))
    assert replicate_spread(same) == pytest.approx(0, abs=1e-12)
    own = np.random.default_rng(1).standard_normal((1, 3, 5000))
    assert replicate_spread(own) == pytest.approx(math.sqrt(2), rel=0.05)


def test_replicates_widen_the_error() -> None:
    values = np.array([[0.1, 0.2, 0.3]] * 3)
    drawn = values[..., None] + 0.2 * np.random.default_rng(2).standard_normal((1, 3, 200))
    without, with_them = (trend(values, values - 0.01, values + 0.01, one) for one in (None, drawn))
    assert without.p_patients < 1e-6
    assert with_them.p == with_them.p_patients > 0.05


def test_both_ways_is_twice_the_better_way() -> None:
    values = [[0.3, 0.2, 0.1, 0.05], [0.3, 0.1, 0.2, 0.05]]
    assert outcome_of(values).p == pytest.approx(2 * outcome_of(values, claim="falls").p)
    assert outcome_of(values).direction == "falls"


def test_type_one_error_of_independent_blocks() -> None:
    rng = np.random.default_rng(3)
    wrong = [page_p(rng.random((3, 4))) <= 0.05 for _ in range(2000)]
    assert np.mean(wrong) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.001]) == pytest.approx([0.9, 0.002])
    assert holm([]) == []


def test_tables_that_cannot_be_tested() -> None:
    with pytest.raises(ValueError) as error:
        outcome_of([[0.1]])
    assert str(error.value) == ("a trend needs two levels and one complete block; the table has the shape (1, 1)")
    with pytest.raises(ValueError) as error:
        outcome_of([[0.1, math.nan]])
    assert str(error.value) == ("a trend needs values inside their intervals")
