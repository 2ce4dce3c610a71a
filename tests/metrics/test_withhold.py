"""The list of samples to withhold, and models that have seen held-out patients."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics import negative_hypergeometric
from benchmark.metrics.competition import SPENDING, Nearest, exposed, nearest_of_patients, priorities
from benchmark.metrics.heldout_seen import heldout_seen
from benchmark.metrics.withhold import Withheld, robust_level, verbatim, verbatim_level, withhold


def by_hand(similarity: list[float], patient: list[int], train: int, heldout: int) -> Nearest:
    return Nearest(np.array(similarity), np.array(patient), train, heldout, np.arange(train + heldout, dtype=float))


def world(
    seed: int, kind: str, dose: float, *, both: bool = False, two_names: bool = False
) -> tuple[Nearest, np.ndarray, float, np.ndarray, float]:
    """Nearest patients of 400 samples, similarity to train, level of verbatim, which samples are copies, robust level.

    With `two_names` two training patients are one, in almost equal images.
    """
    rng = np.random.default_rng([3, seed])
    scale, common = np.arange(1, 25) ** -0.5, np.random.default_rng(99).standard_normal(24)
    real = common + rng.standard_normal((300, 24)) * scale
    if two_names:
        real[1] = real[0] + 0.01 * rng.standard_normal(24)
    made = common + rng.standard_normal((400, 24)) * scale * (0.45 if kind == "blurred" else 1)
    if kind == "one mode":
        made = common + rng.standard_normal((1, 24)) * scale + 0.05 * rng.standard_normal((400, 24))
    count = round(dose * 400)
    made[:count] = real[rng.integers(0, 300 if both else 200, count)] + 0.01 * rng.standard_normal((count, 24))
    rows = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (x - x.mean(1, keepdims=True) for x in (made, real))]
    similarity, between = rows[0] @ rows[1].T, rows[1] @ rows[1].T
    np.fill_diagonal(between, -1)
    nearest = nearest_of_patients(similarity[:, :200], similarity[:, 200:], seed=seed)
    alike = between.max(axis=1)
    robust = robust_level(alike, np.arange(300))
    return nearest, similarity[:, :200].max(axis=1), verbatim_level(alike), np.arange(400) < count, robust


# Verbatim


def test_verbatim_is_half_of_the_least_distance() -> None:
    between = np.array([0.2, 0.5, 0.92, 0.92])
    level = verbatim_level(between)
    distance = np.sqrt(2 - 2 * level)
    assert distance == pytest.approx(np.sqrt(2 - 2 * 0.92) / 2)
    assert verbatim_level(between, fraction=1) == pytest.approx(0.92)
    assert verbatim(np.array([0.92, level, level + 1e-9, 1.0]), level).tolist() == [False, False, True, True]


def test_one_image_under_two_names_does_not_hide_all_copies() -> None:
    assert verbatim_level(np.array([1.0, 1.0, 0.9])) == pytest.approx(verbatim_level(np.array([0.9])))
    assert verbatim_level(np.array([1.0, 1.0])) == 1 - 1e-6  # then only identical images count


def test_a_sample_is_verbatim_of_one_patient_only() -> None:
    """Triangle inequality: nothing is within half of the least distance of two patients."""
    rng = np.random.default_rng(0)
    real = rng.standard_normal((40, 5))
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    between = real @ real.T
    np.fill_diagonal(between, -1)
    level = verbatim_level(between.max(axis=1))
    i, j = np.unravel_index(between.argmax(), between.shape)
    made = rng.standard_normal((5000, 5)) * 0.1 + (real[i] + real[j]) / 2
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    assert ((made @ real.T > level).sum(axis=1) <= 1).all()
    assert ((made @ real.T > verbatim_level(between.max(axis=1), fraction=1)).sum(axis=1) > 1).any()


def test_one_exact_copy_in_ten_thousand_is_listed() -> None:
    rng = np.random.default_rng(2)
    similarity = np.append(rng.uniform(0.2, 0.8, 9999), 1.0)
    patient = np.append(rng.integers(0, 450, 9999), 17)
    found = withhold(Nearest(similarity, patient, 300, 150, priorities(300, 150, 0)), similarity, 0.95)
    assert found.verbatim.sum() == 1
    assert found.any[-1]
    assert found.reasons()[-1] == "verbatim"


@pytest.mark.parametrize("kind", ["sharp", "blurred", "one mode"])
def test_nobody_is_called_verbatim_where_nobody_is_copied(kind: str) -> None:
    lies = []
    for seed in range(40):
        _, to_train, level, _, _ = world(seed, kind, 0)
        lies.append(verbatim(to_train, level).any())
    assert np.mean(lies) <= 0.05


# The list


def test_the_list_by_hand() -> None:
    # Patients 0 .. 2 are training, 3 and 4 held-out.
    nearest = by_hand([0.9, 0.85, 0.8, 0.7, 0.75, 0.6], [0, 0, 1, 3, 0, 2], 3, 2)
    found = withhold(nearest, np.array([0.9, 0.85, 0.8, 0.2, 0.75, 0.6]), 0.82)
    assert found.nearest.tolist() == [True, True, True, False, True, False]
    assert found.verbatim.tolist() == [True, True, False, False, False, False]
    assert found.reasons() == ["verbatim", "verbatim", "nearest", "", "nearest", ""]
    assert found.patients == 2
    assert found.false_patients == 2
    assert found.false_samples == 4
    assert found.expected_false_patients == 1


def test_one_held_out_near_duplicate_does_not_end_the_list_above_the_copies() -> None:
    """40 of 200 training patients are copied at 0.95, one held-out patient is met at 0.99 before them."""
    rng = np.random.default_rng(4)
    patient, similarity = rng.integers(0, 400, 300), rng.uniform(0.2, 0.8, 300)
    patient[:41], similarity[:41] = [200, *range(40)], [0.99, *[0.95] * 40]
    nearest = Nearest(similarity, patient, 200, 200, priorities(200, 200, 0))
    found, shown = withhold(nearest, similarity, 1.0), exposed(nearest).patients.low
    assert found.nearest[1:41].all()
    assert not found.nearest[0]
    assert found.patients >= shown > 25
    second = negative_hypergeometric.boundary(200, 200, SPENDING)[1]
    assert found.false_patients == second
    assert found.expected_false_patients == negative_hypergeometric.mean(200, 200, 2)


def test_a_verbatim_copy_below_a_held_out_pair_is_listed() -> None:
    nearest = by_hand([0.9, 0.99], [0, 1], 1, 1)
    found = withhold(nearest, np.array([0.9, 0.1]), 0.85)
    assert found.nearest.tolist() == [False, False]
    assert found.reasons() == ["verbatim", ""]


@pytest.mark.parametrize("kind", ["sharp", "blurred", "one mode"])
@pytest.mark.parametrize("dose", [0, 0.05])
def test_false_entries_keep_their_bound_and_copies_are_found(kind: str, dose: float) -> None:
    kept, means, power = [], [], []
    for seed in range(150):
        nearest, to_train, level, copies, _ = world(seed, kind, dose)
        found = withhold(nearest, to_train, level)
        copied = set(nearest.patient[copies].tolist())
        strangers = set(nearest.patient[found.nearest].tolist()) - copied
        wrong = found.nearest & ~np.isin(nearest.patient, list(copied))
        kept.append(len(strangers) <= found.false_patients and wrong.sum() <= found.false_samples)
        means.append(len(strangers))
        power.append(found.any[copies].mean() if dose else 1)
    assert np.mean(kept) >= 0.95 - 0.03
    assert np.mean(means) <= 200 / 101 + 0.6
    assert np.mean(power) >= 0.99


# Models that have seen held-out patients


@pytest.mark.parametrize(("kind", "dose"), [("sharp", 0), ("blurred", 0), ("one mode", 0), ("sharp", 0.2)])
def test_an_honest_model_is_hardly_ever_refused(kind: str, dose: float) -> None:
    refused = []
    for seed in range(300):
        nearest, _, _, _, level = world(seed, kind, dose)
        refused.append(heldout_seen(nearest, level).refused)
    assert np.sum(refused) <= 5  # expected at most 1.5; 6 or more in 0.5 % of cases


def test_a_model_that_saw_everybody_is_refused() -> None:
    for seed in range(20):
        nearest, _, level, _, _ = world(seed, "sharp", 0.1, both=True)
        found = heldout_seen(nearest, level)
        assert found.refused
        assert found.verbatim >= 5


def test_one_patient_under_two_names_does_not_hide_a_model_that_saw_everybody() -> None:
    """The pair sets the level of `verbatim_level` alone, and next to no model is refused."""
    refused = []
    for seed in range(20):
        nearest, _, level, _, robust = world(seed, "sharp", 0.3, both=True, two_names=True)
        assert heldout_seen(nearest, robust).verbatim >= 5
        refused.append(heldout_seen(nearest, level).refused)
    assert np.mean(refused) < 0.5


def test_the_robust_level_leaves_out_one_percent_of_the_patients_and_one_pair_at_least() -> None:
    alike = np.concatenate([np.linspace(0.5, 0.8, 398), [0.99, 0.98]])
    assert robust_level(np.repeat(alike, 2), np.repeat(np.arange(400), 2)) == verbatim_level(alike[:396])
    assert robust_level(np.array([0.9, 0.9, 0.2, 0.3]), np.array([0, 1, 2, 2])) == verbatim_level(np.array([0.3]))
    assert robust_level(np.array([1.0, 0.7, 0.6, 0.5]), np.arange(4)) == verbatim_level(np.array([0.5]))
    assert robust_level(np.array([0.9, 0.9]), np.arange(2)) == 1 - 1e-6


def test_a_model_of_the_held_out_patients_is_refused_without_verbatim_copies() -> None:
    nearest, _, _, _, _ = world(0, "sharp", 0.2)
    found = heldout_seen(nearest.swapped(), 1.0)
    assert found.verbatim == 0
    assert found.exposed > 0
    assert found.refused


def test_one_held_out_patient_may_be_a_near_duplicate() -> None:
    one = heldout_seen(by_hand([0.99, 0.5, 0.4], [3, 0, 1], 3, 3), 0.9)
    two = heldout_seen(by_hand([0.99, 0.99, 0.4], [3, 4, 1], 3, 3), 0.9)
    assert (one.verbatim, one.refused) == (1, False)
    assert (two.verbatim, two.refused) == (2, True)


def test_either_reason_is_enough_to_withhold() -> None:
    near, copied = np.array([True, False, True, False]), np.array([False, True, True, False])
    found = Withheld(near, copied, 2, 1, 1, 0.5)
    assert found.any.tolist() == [True, True, True, False]
    assert found.reasons() == ["nearest", "verbatim", "verbatim", ""]
