"""Errors of repeated looks sum to that of one interval."""

import pytest

from benchmark.metrics.competition import SPENDING
from benchmark.metrics.negative_hypergeometric import boundary, crossing
from benchmark.metrics.sequential import ERROR, HALF, level, spending_at, spent


def test_levels_sum_to_the_error_of_one_interval() -> None:
    assert ERROR == 0.025
    assert spent(0) == 0.0
    assert spent(HALF) == ERROR / 2
    assert sum(level(look) for look in range(1, 501)) == pytest.approx(spent(500))
    assert spent(10**9) < ERROR
    assert all(level(look) > level(look + 1) > 0 for look in range(1, 500))


def test_the_error_at_a_level_is_within_it_exactly() -> None:
    for look in (1, 7, 60):
        bounds = boundary(90, 60, spending_at(level(look)))
        assert 0.2 * level(look) < crossing(90, 60, bounds) <= level(look)
    assert spending_at(ERROR) == pytest.approx(SPENDING)
