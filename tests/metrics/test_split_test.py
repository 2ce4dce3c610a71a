"""The test of the split: exact level, power, and patients (not items) as what is permuted."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from benchmark.metrics.split_test import split_test

SCALE = np.arange(1, 25) ** -0.5
SHIFT = np.random.default_rng(5).standard_normal(24) * SCALE


def world(seed: int, shift: float, *, patients: int = 60, each: int = 1, k: int = 1) -> tuple[np.ndarray, ...]:
    """Neighbours (M, k) of other patients, patient of each item, sides; the first half are training patients."""
    rng = np.random.default_rng([17, seed])
    centre = rng.standard_normal((2 * patients, 24)) * SCALE
    centre[:patients] += shift * SHIFT
    units = np.repeat(np.arange(2 * patients), each)
    rows = centre[units] + (0.1 * rng.standard_normal((len(units), 24)) * SCALE if each > 1 else 0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    similarity[units[:, None] == units] = -9
    return np.argsort(-similarity, axis=1)[:, :k], units, np.arange(2 * patients) < patients


def p_value(seed: int, shift: float, *, patients: int = 60, each: int = 1, k: int = 1) -> float:
    return split_test(*world(seed, shift, patients=patients, each=each, k=k), seed=seed, permutations=199).p_value


@pytest.mark.parametrize(("each", "k"), [(1, 1), (1, 5), (6, 1), (6, 5)])
def test_a_fair_split_is_refused_at_its_level(each: int, k: int) -> None:
    found = np.array([p_value(seed, 0, patients=25, each=each, k=k) for seed in range(250)])
    for level in (0.01, 0.05, 0.2):
        assert (found <= level).mean() <= level + 3.5 * (level * (1 - level) / 250) ** 0.5
    assert (found <= 0.2).mean() >= 0.1  # and not by never refusing


def test_patients_that_are_on_both_sides_are_refused() -> None:
    """Each held-out patient is a training patient of another name; a fair split is as mixed in 1 of 1,000 draws."""
    rng = np.random.default_rng(3)
    rows = np.tile(rng.standard_normal((60, 24)) * SCALE, (2, 1)) + 0.01 * rng.standard_normal((120, 24))
    distance = np.square(rows[:, None] - rows[None]).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    near, sides = np.argsort(distance, axis=1)[:, :5], np.arange(120) < 60
    paired = split_test(near, np.arange(120), sides, seed=0)
    assert paired.mixed
    assert not paired.fair
    assert (paired.mixed_p, paired.p_value) == (0.001, 1.0)
    fair = [split_test(near, np.arange(120), rng.permutation(sides), seed=seed) for seed in range(20)]
    assert not any(one.mixed for one in fair)


def test_slices_taken_for_patients_would_be_refused_too_often() -> None:
    """What permuting patients is for: 20 slices of each, labels of slices permuted."""
    wrong = 0
    for seed in range(60):
        near, units, sides = world(seed, 0, patients=10, each=20)
        wrong += split_test(near, np.arange(len(units)), sides[units], seed=seed, permutations=99).p_value <= 0.05
    assert wrong >= 12


def test_power_of_the_audit() -> None:
    """200 / 200 patients, one item each: rejected at 5 % in 0.60 at a shift of 0.25 sd, always from 0.5 on."""
    found = {shift: [p_value(seed, shift, patients=200) for seed in range(40)] for shift in (0.25, 0.5)}
    assert 0.4 <= np.mean(np.array(found[0.25]) <= 0.05) <= 0.8
    assert np.mean(np.array(found[0.5]) <= 0.05) == 1
    more = [p_value(seed, 0.25, patients=200, k=5) for seed in range(40)]
    assert np.mean(np.array(more) <= 0.05) >= 0.9


def test_p_value_against_all_labellings() -> None:
    near, units = np.array([1, 0, 3, 2, 3]), np.arange(5)
    sides = np.array([True, True, False, False, False])

    def same(labels: tuple[bool, ...]) -> float:
        return float(np.mean([labels[i] == labels[j] for i, j in enumerate(near)]))

    every = [same(labels) for labels in permutations(sides.tolist())]
    found = split_test(near, units, sides, seed=0, permutations=4000)
    assert found.same_side == same(tuple(sides.tolist())) == 1
    assert found.expected == pytest.approx(np.mean(every), abs=0.02)
    assert found.p_value == pytest.approx(np.mean(np.array(every) >= 1), abs=0.03)


def test_patients_weigh_the_same() -> None:
    # Patient 0 has three items, near to its own side; patients 1 and 2 one each, near to the other side.
    near, units = np.array([3, 3, 3, 4, 3]), np.array([0, 0, 0, 1, 2])
    found = split_test(near, units, np.array([True, True, False]), seed=0, permutations=9)
    assert found.same_side == pytest.approx(1 / 3)


def test_the_smallest_p_value_counts_the_split_itself() -> None:
    near, units, sides = world(0, 3)
    found = split_test(near, units, sides, seed=0, permutations=99)
    assert found.p_value == pytest.approx(0.01)
    assert not found.fair
    assert split_test(near, units, sides, seed=0, permutations=99) == found


def test_a_neighbour_of_the_same_patient_is_an_error() -> None:
    with pytest.raises(ValueError, match="a nearest item is of the same patient"):
        split_test(np.array([1, 0]), np.array([0, 0]), np.array([True]), seed=0)
