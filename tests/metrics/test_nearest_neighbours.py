"""Neighbour metrics against loops, and on sets where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from benchmark.metrics import nearest_neighbours as neighbours
from benchmark.metrics.nearest_neighbours import (
    Near,
    auth_share,
    c_t,
    calibrated_l2,
    cells,
    dcr_share,
    distance,
    m3_share,
    ratio_median,
    ratio_share,
)

DIMENSION = 12


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def people(count: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


TRAIN, HELD = people(400, 1), people(100, 2)


def near_of(queries: np.ndarray, k: int = 50) -> Near:
    to_train, to_held = queries @ TRAIN.T, queries @ HELD.T
    order = np.argsort(-to_train, axis=1, kind="stable")
    return Near(
        codes=np.arange(len(queries)),
        train=np.take_along_axis(to_train, order[:, :k], axis=1),
        index=order[:, 0],
        equal=to_train[:, :100].max(axis=1),
        heldout=to_held.max(axis=1),
        by_patient=np.take_along_axis(to_train, order[:, :k], axis=1),  # one item per patient
    )


def within() -> np.ndarray:
    matrix = TRAIN @ TRAIN.T
    np.fill_diagonal(matrix, -2)
    return np.asarray(matrix.max(axis=1))


FRESH = near_of(people(600, 3))
COPIES = near_of(unit(TRAIN[:100] + 1e-3 * np.random.default_rng(4).standard_normal((100, DIMENSION))))


def value(score: object) -> float:
    found = getattr(score, "value", None)
    assert isinstance(found, float)
    return found


def test_distance_is_euclidean() -> None:
    a, b = people(5, 7), people(5, 8)
    np.testing.assert_allclose(distance((a * b).sum(1)), np.linalg.norm(a - b, axis=1))
    assert distance(np.array([1 + 1e-12]))[0] == 0


def test_by_loops() -> None:
    queries = people(30, 9)
    near, gaps = near_of(queries), within()
    rows = [np.sort(np.linalg.norm(TRAIN - q, axis=1)) for q in queries]
    nearest = [int(np.linalg.norm(TRAIN - q, axis=1).argmin()) for q in queries]
    equal = [np.linalg.norm(TRAIN[:100] - q, axis=1).min() for q in queries]
    held = [np.linalg.norm(HELD - q, axis=1).min() for q in queries]
    own = [np.sort(np.linalg.norm(TRAIN - TRAIN[i], axis=1))[1] for i in range(400)]
    assert value(dcr_share(near)) == pytest.approx(np.mean([e < h for e, h in zip(equal, held, strict=True)]))
    assert value(ratio_median(near)) == pytest.approx(np.median([row[0] / row[1] for row in rows]))
    scaled = [row[0] / (0.5 * row[:50].mean()) for row in rows]
    assert value(calibrated_l2(near)) == pytest.approx(np.quantile(scaled, 0.05))
    authentic = [row[0] > own[i] for row, i in zip(rows, nearest, strict=True)]
    assert value(auth_share(near, gaps)) == pytest.approx(np.mean(authentic))
    assert value(m3_share(near, gaps)) == pytest.approx(np.mean([row[0] < np.median(own) for row in rows]))


def test_a_perfect_generator_reads_what_is_neutral() -> None:
    assert value(dcr_share(FRESH)) == pytest.approx(0.5, abs=0.06)
    assert value(ratio_share(FRESH)) == pytest.approx(0, abs=0.01)
    assert value(m3_share(FRESH, within())) == pytest.approx(0.5, abs=0.06)
    score = dcr_share(FRESH)
    assert score.low is not None
    assert score.high is not None
    assert score.low < 0.5 < score.high
    assert (score.n, score.direction) == (600, "lower")


def test_none_of_n_has_an_upper_bound() -> None:
    score = ratio_share(FRESH)
    assert (score.value, score.low) == (0, 0)
    assert score.high == pytest.approx(1 - 0.025 ** (1 / 600))


def test_a_replayer_reads_the_extreme() -> None:
    gaps = within()
    assert value(dcr_share(COPIES)) == pytest.approx(1)
    assert value(ratio_share(COPIES)) == pytest.approx(1)
    assert value(ratio_median(COPIES)) < 0.02
    assert value(calibrated_l2(COPIES)) < 0.05 < value(calibrated_l2(FRESH))
    assert value(auth_share(COPIES, gaps)) == 0
    assert value(m3_share(COPIES, gaps)) == pytest.approx(1)


def test_swapping_train_and_heldout_mirrors_dcr() -> None:
    swapped = Near(FRESH.codes, FRESH.train, FRESH.index, FRESH.heldout, FRESH.equal, FRESH.by_patient)
    assert value(dcr_share(swapped)) == pytest.approx(1 - value(dcr_share(FRESH)))


def test_ties_and_exact_copies() -> None:
    same = np.full(4, 0.5)
    copied = np.tile([1.0, 1.0, 0.2], (4, 1))
    near = Near(np.arange(4), copied, np.zeros(4, dtype=np.int64), same, same, copied)
    assert value(dcr_share(near)) == 0.5
    assert value(ratio_share(near)) == 1  # two identical training items hide nothing
    assert value(calibrated_l2(near)) == 0


def test_patients_count_the_same() -> None:
    codes = np.array([0, 0, 0, 1])
    none, equal = np.zeros((4, 2)), np.array([1.0, 1, 1, 0])
    near = Near(codes, none, np.zeros(4, dtype=np.int64), equal, np.full(4, 0.5), none)
    assert value(dcr_share(near)) == 0.5


def test_a_single_training_item() -> None:
    alone = np.full((3, 1), 0.3)
    near = Near(np.arange(3), alone, np.zeros(3, dtype=np.int64), np.zeros(3), np.zeros(3), alone)
    assert value(ratio_median(near)) == 1


def test_calibrated_l2_averages_over_patients_not_items() -> None:
    """Fifty slices of the nearest patient would be a scale of 0: here other patients are far away."""
    items, patients = np.full((5, 50), 0.99), np.tile([0.99, 0.0, 0.0], (5, 1))
    near = Near(np.arange(5), items, np.zeros(5, dtype=np.int64), np.zeros(5), np.zeros(5), patients)
    far = distance(np.array([0.99, 0.0, 0.0]))
    assert value(calibrated_l2(near)) == pytest.approx(far[0] / (0.5 * far.mean()))


def test_resampling_keeps_all_values_of_a_query_together() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    near = Near(np.arange(4), rows, np.arange(4), rows[:, 0] + 10, rows[:, 0] + 20, rows + 30)
    taken = near.take(np.array([2, 0]), np.array([5, 6]))
    assert taken.codes.tolist() == [5, 6]
    assert taken.train.tolist() == [[4, 5], [0, 1]]
    assert taken.index.tolist() == [2, 0]
    assert (taken.equal.tolist(), taken.heldout.tolist()) == ([14, 10], [24, 20])
    assert taken.by_patient.tolist() == [[34, 35], [30, 31]]


# C_T


def test_mann_whitney_against_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 30, 40).astype(float), rng.integers(5, 35, 50).astype(float)
    expected = mannwhitneyu(a, b, method="asymptotic", use_continuity=False)
    u = expected.statistic
    sigma = np.sqrt(40 * 50 * 91 / 12)
    assert neighbours._mann_whitney_z(a, b) == pytest.approx((u - 1000) / sigma)
    assert neighbours._mann_whitney_z(b, a) == pytest.approx(-neighbours._mann_whitney_z(a, b))


def test_c_t() -> None:
    place = cells(TRAIN, 3)
    held = near_of(people(300, 11))
    held_cells = place(people(300, 11))
    fresh = c_t(distance(FRESH.train[:, 0]), place(people(600, 3)), distance(held.train[:, 0]), held_cells)
    assert abs(value(fresh)) < 2.5
    copies = c_t(distance(COPIES.train[:, 0]), place(TRAIN[:100]), distance(held.train[:, 0]), held_cells)
    assert value(copies) < -5
    assert (copies.n, copies.direction) == (100, "higher")


def test_cells_that_are_too_small() -> None:
    few = c_t(np.ones(5), np.zeros(5, dtype=np.int64), np.ones(50), np.zeros(50, dtype=np.int64))
    assert (few.value, few.reason) == (None, "no cell holds 20 items of either side")
