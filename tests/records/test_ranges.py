"""Ranges of scores: every documented id has one, and headings and records take their limits from it."""

from __future__ import annotations

import math

import pytest

from benchmark.records.definitions import definitions
from benchmark.records.ranges import RANGES, limits_of, range_of


@pytest.mark.parametrize("name", [name for row in definitions() for name in row.ids])
def test_every_documented_score_has_a_range(name: str) -> None:
    assert range_of(name.replace("NAME", "flip")) is not None


@pytest.mark.parametrize("family", sorted(RANGES))
def test_no_range_is_of_an_unknown_score(family: str) -> None:
    assert any(name.startswith(family) for row in definitions() for name in row.ids)


def test_limits() -> None:
    assert limits_of("exposed.items[copy]") == (0.0, 1.0)
    assert limits_of("rule.dar2025.tau[pixels]") == (-1.0, 1.0)
    assert limits_of("rule.dar2025.n_mem_test[pixels]") == (0.0, 1.0)
    assert limits_of("quality.ms_ssim_real[pixels]") == (-1.0, 1.0)
    assert limits_of("neighbours.c_t_swapped_null[copy]") == (-math.inf, math.inf)
    assert range_of("exposed.nothing") is None
