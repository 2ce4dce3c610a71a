from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.cohorts.check.report import find_leaks
from benchmark.cohorts.splits import NAMES, Plan, plan_split, require_disjoint
from benchmark.core.errors import BadDataError, UsageError


def table(patients: int = 100, images: int = 3, group: str = "") -> pd.DataFrame:
    rows = [
        {"item": f"p{p}_{i}", "subject": f"p{p}", "group": group, "sha": f"{p}-{i}"}
        for p in range(patients)
        for i in range(images)
    ]
    return pd.DataFrame(rows)


def subjects(frame: pd.DataFrame, rows: Any) -> set[str]:
    return set(frame["subject"].iloc[rows])


def parts(plan: Plan) -> list[Any]:
    return [getattr(plan, name) for name in NAMES]


def test_every_item_is_in_one_split_and_no_patient_in_two() -> None:
    frame = table()
    plan = plan_split(frame)
    assert sorted(np.concatenate(parts(plan))) == list(range(300))
    assert [len(rows) for rows in parts(plan)] == [150, 90, 60]
    assert len(set.union(*(subjects(frame, rows) for rows in parts(plan)))) == 100
    assert find_leaks(frame, plan) == []


def test_order_of_files_does_not_matter() -> None:
    frame = table()
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    for one, other in zip(parts(plan_split(frame)), parts(plan_split(shuffled)), strict=True):
        assert subjects(frame, one) == subjects(shuffled, other)


def test_seed_changes_the_split() -> None:
    frame = table()
    assert subjects(frame, plan_split(frame, seed=0).train) != subjects(frame, plan_split(frame, seed=1).train)
    assert np.array_equal(plan_split(frame, seed=3).train, plan_split(frame, seed=3).train)


def test_training_sizes_are_nested_and_leave_the_held_out() -> None:
    frame = table()
    full = plan_split(frame)
    before: set[int] = set()
    for size in (1, 16, 50, 149, 150):
        plan = plan_split(frame, train_items=size)
        assert len(plan.train) == size
        assert before <= set(plan.train)
        assert np.array_equal(plan.calibration, full.calibration)
        assert np.array_equal(plan.test, full.test)
        assert len(subjects(frame, plan.train)) == -(-size // 3)
        before = set(plan.train)
    assert before == set(full.train)


def test_training_patients_are_nested_whole_and_leave_the_held_out() -> None:
    frame = table()
    full = plan_split(frame)
    before: set[int] = set()
    for patients in (1, 7, 49, 50):
        plan = plan_split(frame, train_patients=patients)
        assert np.array_equal(plan.train, plan_split(frame, train_items=3 * patients).train)
        assert before < set(plan.train)
        assert np.array_equal(plan.calibration, full.calibration)
        assert np.array_equal(plan.test, full.test)
        before = set(plan.train)
    assert before == set(full.train)


def test_impossible_numbers_of_training_patients_are_refused() -> None:
    for patients in (0, 51):
        with pytest.raises(UsageError) as refusal:
            plan_split(table(), train_patients=patients)
        assert str(refusal.value) == (
            f"{patients} training patients were asked for, the training split has 50\n"
            "  hint: choose a number from 1 to 50, or a larger training share"
        )
    with pytest.raises(UsageError) as refusal:
        plan_split(table(), train_patients=5, train_items=5)
    assert str(refusal.value) == (
        "the training size is given twice, as 5 items and as 5 patients\n  hint: give --train-items or --train-patients"
    )
    with pytest.raises(UsageError) as refusal:
        plan_split(table(), train_patients=5, trained_on=frozenset({"p1"}))
    assert str(refusal.value) == (
        "only 5 of the listed training patients would be compared, and copies of the others would not be seen\n"
        "  hint: leave out --train-patients, which is for models trained by this run"
    )


def test_duplicates_across_patients_share_a_side_for_every_seed() -> None:
    frame = table(30)
    chain = [("p1", "p2"), ("p2", "p3"), ("p10", "p20")]
    for place, (one, other) in enumerate(chain):
        for subject in (one, other):
            row = frame.index[frame["subject"] == subject][place]
            frame.loc[row, "sha"] = f"same{place}"
    torn = 0
    for seed in range(20):
        plan = plan_split(frame, seed=seed)
        assert find_leaks(frame, plan) == []
        sides = [subjects(frame, rows) for rows in parts(plan)]
        assert any({"p1", "p2", "p3"} <= side for side in sides)
        torn += bool(find_leaks(frame, plan_split(frame, seed=seed, join_duplicates=False)))
    assert torn > 5


@pytest.mark.parametrize("patients", [3, 4, 5, 7])
def test_small_cohorts_have_no_empty_split(patients: int) -> None:
    for seed in range(10):
        assert all(len(rows) for rows in parts(plan_split(table(patients), seed=seed)))


def test_published_group_is_kept_only_when_asked() -> None:
    frame = pd.concat([table(20, group="train"), table(10, group="test")], ignore_index=True)
    frame["subject"] = frame["group"] + ":" + frame["subject"]
    frame["sha"] = frame["group"] + frame["sha"]
    plan = plan_split(frame, split="official")
    assert set(frame["group"].iloc[plan.train]) == {"train"}
    assert set(frame["group"].iloc[np.concatenate([plan.calibration, plan.test])]) == {"test"}
    assert len(plan.calibration) == 18
    assert set(frame["group"].iloc[plan_split(frame).train]) == {"train", "test"}


def test_published_test_patient_with_a_training_duplicate_goes_to_training() -> None:
    frame = pd.concat([table(20, group="train"), table(10, group="test")], ignore_index=True)
    frame["subject"] = frame["group"] + ":" + frame["subject"]
    frame["sha"] = frame["group"] + frame["sha"]
    frame.loc[[0, 60], "sha"] = "same"
    plan = plan_split(frame, split="official")
    assert {"train:p0", "test:p0"} <= subjects(frame, plan.train)


@pytest.mark.parametrize("patients", [0, 1, 2])
def test_too_few_patients(patients: int) -> None:
    with pytest.raises(BadDataError) as caught:
        plan_split(table(patients) if patients else table(1).iloc[:0])
    assert str(caught.value) == (
        f"train, calibration and test need 3 patients that can be separated, here: {patients}"
        "\n  hint: add patients: at least 3, of whom no two share a duplicate image"
    )


def test_three_patients_who_share_an_image_are_too_few() -> None:
    frame = table(3).assign(sha="same")
    with pytest.raises(BadDataError, match="here: 1"):
        plan_split(frame)


def test_no_published_split() -> None:
    with pytest.raises(UsageError) as caught:
        plan_split(table(), split="official")
    assert str(caught.value) == (
        "this data set has no published split that could be kept: 0 patients in train, 100 outside"
        "\n  hint: leave --split official out: patients are then split from the seed"
    )


@pytest.mark.parametrize("size", [0, -1, 151])
def test_training_items_that_are_not_there(size: int) -> None:
    with pytest.raises(UsageError) as caught:
        plan_split(table(), train_items=size)
    assert str(caught.value) == (
        f"{size} training items were asked for, the training split has 150"
        "\n  hint: choose a number from 1 to 150, or a larger training share"
    )


def test_a_list_of_training_patients_is_compared_as_a_whole() -> None:
    """Listed patients that are in no split are never searched: their copies would go unseen."""
    listed = frozenset({"p0", "p1", "p2"})
    with pytest.raises(UsageError) as caught:
        plan_split(table(), trained_on=listed, train_items=4)
    assert str(caught.value) == (
        "of the listed training patients only 4 images would be compared, and copies of the others would not be seen"
        "\n  hint: leave out --train-items, which is for models trained by this run"
    )
    with pytest.raises(UsageError) as caught:
        plan_split(table(), trained_on=listed, split="images")
    assert str(caught.value) == (
        "a list of training patients cannot be combined with --split images, which has no patients"
        "\n  hint: leave out --split images"
    )


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.0), (0.5, 0.5), (0.5, 0.4, 0.3)])
def test_fractions_that_do_not_fit(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        plan_split(table(), fractions=fractions)
    given = ",".join(f"{share:g}" for share in fractions)
    assert str(caught.value) == (
        f"fractions {given} are not three positive shares that sum to 1"
        "\n  hint: give the shares of train, calibration and test, such as 0.5,0.3,0.2"
    )


def test_one_patient_in_two_splits() -> None:
    with pytest.raises(BadDataError) as caught:
        require_disjoint({"train": ["a", "b", "b"], "calibration": ["c"], "test": ["b"]})
    assert str(caught.value) == (
        "patient b is in two splits, train and test"
        "\n  hint: give each patient one name in the data set, and let memobench split by it"
    )


def test_leaks_are_named() -> None:
    frame = table(3, 1)
    frame["subject"] = ["a", "a", "b"]
    frame["sha"] = ["1", "2", "1"]
    plan = Plan(np.array([0]), np.array([1]), np.array([2]))
    assert find_leaks(frame, plan) == ["patient a is in train and calibration", "image p0_0 is in train and test"]
