"""Metrics that took items for patients: the audit's minimal examples, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.copy_rate import PatientScores
from benchmark.metrics.membership_control import members_against_members
from benchmark.metrics.nearest_neighbours import c_t
from benchmark.metrics.patient_neighbours import (
    c_t_score,
    dar2025_test,
    equal_patients,
    memorisation_distances,
    nearest_others,
    nearest_patients,
)
from benchmark.metrics.quality import frechet, mifid

SCALE = np.arange(1, 25) ** -0.5
COMMON = np.random.default_rng(99).standard_normal(24)


def unit(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def people(rng: np.random.Generator, count: int) -> np.ndarray:
    return COMMON + rng.standard_normal((count, 24)) * SCALE


# DCR


@pytest.mark.parametrize("slices", [1, 10, 50])
def test_dcr_without_copies_is_a_half_however_many_slices(slices: int) -> None:
    """Drawing items read 0.479, 0.584 and 0.622 here, because 60 patients have fewer slices than 100."""
    shares = []
    for seed in range(40):
        rng = np.random.default_rng([3, seed])
        banks = [np.repeat(people(rng, n), slices, axis=0) for n in (100, 60)]
        banks = [bank + 0.1 * rng.standard_normal(bank.shape) * SCALE for bank in banks]
        codes = [np.repeat(np.arange(n), slices) for n in (100, 60)]
        first, second = equal_patients(codes[0], codes[1], seed=seed)
        made = unit(people(rng, 200))
        equal, heldout = ((made @ unit(bank[i]).T).max(1) for bank, i in zip(banks, (first, second), strict=True))
        shares.append((equal > heldout).mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=3.5 * np.std(shares) / 40**0.5)


def test_equal_patients_keep_all_their_items() -> None:
    train, heldout = np.repeat(np.arange(5), [1, 2, 3, 4, 5]), np.array([0, 1, 1])
    first, second = equal_patients(train, heldout, seed=0)
    assert len(np.unique(train[first])) == 2
    assert second.tolist() == [0, 1, 2]
    for patient in np.unique(train[first]):
        assert (train[first] == patient).sum() == patient + 1
    chosen = {tuple(np.unique(train[equal_patients(train, heldout, seed=seed)[0]])) for seed in range(60)}
    assert len(chosen) == 10  # every pair of five


# Calibrated L2


def test_neighbours_are_of_different_patients() -> None:
    rng = np.random.default_rng(1)
    similarity, codes = rng.random((7, 30)), rng.permutation(np.repeat(np.arange(6), 5))
    found = nearest_patients(similarity, codes, keep=4)
    for row, top in zip(similarity, found, strict=True):
        best = sorted((max(row[codes == patient]) for patient in range(6)), reverse=True)
        assert top.tolist() == best[:4]
    assert nearest_patients(similarity, codes, keep=50).shape == (7, 6)


def test_slices_of_one_patient_are_one_neighbour() -> None:
    similarity = np.array([[0.99] * 50 + [0.5, 0.4]])
    codes = np.array([0] * 50 + [1, 2])
    assert nearest_patients(similarity, codes, keep=3).tolist() == [[0.99, 0.5, 0.4]]


# Nearest items of other patients


def test_nearest_others_leave_the_own_patient_out() -> None:
    rng = np.random.default_rng(3)
    similarity, codes = rng.random((12, 12)), np.repeat(np.arange(4), 3)
    index, found = nearest_others(similarity[4:9], codes[4:9], codes, 5, seed=0)
    for row, (places, values) in enumerate(zip(index, found, strict=True), start=4):
        others = [i for i in range(12) if codes[i] != codes[row]]
        best = sorted(others, key=lambda i: -similarity[row, i])[:5]
        assert places.tolist() == best
        assert values.tolist() == similarity[row, best].tolist()


def test_equal_items_win_alike_wherever_they_lie_in_the_bank() -> None:
    wins = [nearest_others(np.ones((1, 5)), np.array([0]), np.arange(5), 1, seed=seed)[0][0, 0] for seed in range(2000)]
    assert np.bincount(wins, minlength=5)[0] == 0
    assert np.abs(np.bincount(wins, minlength=5)[1:] / 2000 - 0.25).max() < 0.04


# MiFID


def test_mifid_sees_copies_of_all_of_train() -> None:
    """500 exact copies out of 5,000 read like the plain distance over a tenth of train."""
    rng = np.random.default_rng(1)
    train, heldout = rng.standard_normal((5000, 64)), rng.standard_normal((2000, 64))
    made = train[rng.permutation(5000)[:500]]
    whole, part = memorisation_distances(made, [train]), memorisation_distances(made, [train[::10]])
    assert whole.max() < 1e-9
    assert part.mean() > 0.1
    assert mifid(made, heldout, whole) > 1e6 * mifid(made, heldout, part)


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_blocks_change_nothing(rows: int) -> None:
    rng = np.random.default_rng(2)
    made, train = rng.standard_normal((20, 5)), rng.standard_normal((40, 5))
    found = memorisation_distances(made, (train[start : start + rows] for start in range(0, 40, rows)))
    slow = [min(1 - abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for y in train) for x in made]
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert mifid(made, train, found, epsilon=1) == pytest.approx(frechet(made, train) / np.mean(slow))


# C_T


def distances(seed: int, slices: int) -> tuple[np.ndarray, ...]:
    """Distances of test and of calibration slices to train, nothing copied, with cells and patients."""
    rng = np.random.default_rng(seed)
    sides = []
    for patients in (40, 60):
        codes = np.repeat(np.arange(patients), slices)
        values = rng.standard_normal(patients)[codes] + 0.1 * rng.standard_normal(len(codes))
        sides += [values, np.zeros(len(codes), dtype=np.int64), codes]
    return tuple(sides)


@pytest.mark.parametrize("slices", [1, 20])
def test_c_t_has_an_interval_that_slices_do_not_narrow(slices: int) -> None:
    found = [c_t_score(*distances(seed, slices)) for seed in range(25)]
    covered = [(one.low or 0) <= 0 <= (one.high or 0) for one in found]
    assert sum(covered) >= 20  # of 25; 95 % covers 20 or more nearly always
    values = np.array([one.value for one in found], dtype=float)
    if slices > 1:
        assert np.mean(np.abs(values) > 1.96) > 0.3  # read as a z value it would cry wolf


def test_c_t_keeps_its_value_and_reason() -> None:
    a = distances(0, 1)
    assert c_t_score(*a).value == c_t(a[0], a[1], a[3], a[4]).value
    few = c_t_score(a[0][:5], a[1][:5], a[2][:5], a[3], a[4], a[5])
    assert (few.value, few.reason) == (None, "no cell holds 20 items of either side")


# Dar et al.


def test_dar2025_of_test_patients_by_hand() -> None:
    to_validation = PatientScores(np.arange(1, 101) / 100, np.arange(100))
    tau = np.quantile(to_validation.values, 0.95)
    to_train = PatientScores(np.array([tau + 0.01, 0.1, 0.1, 0.1, tau + 0.01]), np.array([0, 0, 0, 1, 2]))
    found = dar2025_test(to_validation, to_train, PatientScores(np.array([0.1, 0.1]), np.array([0, 1])))
    copies, mem = found["published.dar2025.n_copies_test"], found["published.dar2025.n_mem_test"]
    assert copies.value == pytest.approx((1 / 3 + 0 + 1) / 3)  # patients weigh the same
    assert mem.value == 0
    assert mem.high == pytest.approx(1 - 0.025 ** (1 / 2))
    assert (copies.low or 0) < 0.4 < (copies.high or 0)


# Membership


def test_members_against_members_is_a_half_where_they_are_alike() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(60):
        members, others = PatientScores(rng.random(100), np.arange(100)), rng.random(100)
        found = members_against_members(members, seed=seed)
        assert 0.5 <= (found.value or 0) <= (found.high or 0) < 0.65
        inside.append((members.values[:, None] > others).mean() <= (found.high or 0) + 0.03)
    assert np.mean(inside) > 0.9


def test_members_against_members_deals_patients_not_slices() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.standard_normal(10), 50)
    by_patient = members_against_members(PatientScores(values, np.repeat(np.arange(10), 50)), seed=0)
    by_slice = members_against_members(PatientScores(values, np.arange(500)), seed=0)
    assert (by_patient.value or 0) > (by_slice.value or 0) + 0.08


def test_one_member_cannot_be_halved() -> None:
    assert members_against_members(PatientScores(np.ones(3), np.zeros(3, dtype=np.int64)), seed=0).reason == (
        "halves need two patients"
    )
