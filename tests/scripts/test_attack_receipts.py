"""What a receipt gives away: no attack that is known here tells a patient's side better than the bound of the docs."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.attack_receipts import (
    World,
    by_order,
    by_samples,
    cohort_found,
    helped,
    of_runs,
    sides_found,
    world,
)

BOUND = 0.55


@pytest.fixture(scope="module")
def honest() -> list[World]:
    return [world(np.random.default_rng([7, draw]), 200, 120, 600) for draw in range(12)]


@pytest.mark.parametrize("attack", [by_samples, by_order, helped, of_runs])
def test_the_receipt_of_a_run_tells_no_training_patient(honest: list[World], attack: object) -> None:
    """With the upper bound of the AUC, for somebody who has the samples and a patient's image."""
    assert sides_found(attack, honest)[1] <= BOUND  # type: ignore[arg-type]


def test_the_threshold_tells_nobody_of_the_cohort(honest: list[World]) -> None:
    assert cohort_found(honest)[1] <= BOUND


def test_of_a_model_that_copies_a_receipt_tells_little_more_than_the_samples() -> None:
    copying = [world(np.random.default_rng([8, draw]), 200, 120, 600, dose=0.1) for draw in range(6)]
    alone = sides_found(by_samples, copying)[0]
    assert alone > 0.6
    assert max(sides_found(attack, copying)[0] for attack in (by_order, helped, of_runs)) <= alone + 0.05


def test_an_attack_finds_what_there_is_to_find() -> None:
    """A low AUC is no broken attack: where each number is a full similarity's place, half of the sides are told."""
    told = [world(np.random.default_rng([9, draw]), 30, 30, 3000) for draw in range(12)]
    assert sides_found(helped, told)[0] > 0.6
    assert sides_found(by_order, told)[0] > 0.6


def test_receipts_of_several_runs_add_up() -> None:
    """The docs say so: with the synthetic images of ten runs no bound holds."""
    linked = [world(np.random.default_rng([10, draw]), 60, 40, 300, sets=10) for draw in range(4)]
    assert sides_found(of_runs, linked)[0] > 0.65
    assert cohort_found(linked)[0] < 0.6
