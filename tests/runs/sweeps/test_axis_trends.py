"""Trend tests of a sweep: which cells are compared, what is left out, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_outcomes import Plan, record, sizes_and_seeds

from benchmark.core.errors import UsageError
from benchmark.metrics.trends import holm
from benchmark.runs.sweeps.axis_trends import AxisTrend, axis_trends
from benchmark.runs.sweeps.readings import fill_axes, read


def trends_of(plan: Plan, **more: object) -> dict[tuple[str, str, str, str], AxisTrend]:
    """The tests by axis, score, detector and model."""
    tests = axis_trends(fill_axes([read(one) for one in plan.outcomes]), **more)  # type: ignore[arg-type]
    return {(one.axis, one.measure, one.detector, one.model): one for one in tests}


FALLING = (0.6, 0.4, 0.2, 0.05)


def test_a_fall_over_three_seeds_is_shown(tmp_path: Path) -> None:
    tests = trends_of(sizes_and_seeds(tmp_path, FALLING, 3))
    one = tests["train_items", "exposed_share", "copy", "ldm"]
    assert one.test is not None
    assert (one.blocks, one.planned, one.levels) == (3, 3, (16, 64, 256, 1024))
    assert one.test.p_trainings == pytest.approx(2 / 24**3)
    assert one.test.direction == "falls"
    assert one.change == (pytest.approx(0.602), pytest.approx(0.052))
    assert one.answer.startswith("falls (p ")


def test_no_trend_is_tested_along_seeds_and_models_or_for_counts(tmp_path: Path) -> None:
    tests = trends_of(sizes_and_seeds(tmp_path, FALLING, 2))
    assert {(axis, score) for axis, score, _, _ in tests} == {
        ("train_items", "exposed_share"), ("train_items", "memorised_share"), ("train_items", "quality"),
    }  # fmt: skip


def test_one_seed_cannot_show_a_trend_and_says_so(tmp_path: Path) -> None:
    one = trends_of(sizes_and_seeds(tmp_path, FALLING, 1))["train_items", "exposed_share", "copy", "ldm"]
    assert one.answer == "cannot be shown: 1 block of 4 values gives no p below 0.083; add seeds"


def test_a_claim_said_before_is_tested_one_way(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, FALLING, 1)
    falls = trends_of(plan, claims={"train_items": "falls"})["train_items", "exposed_share", "copy", "ldm"]
    rises = trends_of(plan, claims={"train_items": "rises"})["train_items", "exposed_share", "copy", "ldm"]
    assert falls.test is not None
    assert rises.test is not None
    assert falls.test.p_trainings == pytest.approx(1 / 24)
    assert rises.test.p == 1
    assert rises.test.direction == "falls"


def test_p_is_adjusted_over_detectors_and_models_of_a_score(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path / "a", FALLING, 2)
    other = sizes_and_seeds(tmp_path / "b", (0.1, 0.12, 0.1, 0.1), 2, model="ddpm")
    plan.outcomes += other.outcomes
    tests = {key: one for key, one in trends_of(plan).items() if key[1] == "exposed_share"}
    assert len(tests) == 4
    assert [one.adjusted for one in tests.values()] == holm([one.test.p for one in tests.values() if one.test])


def test_blocks_with_a_missing_cell_are_left_out_and_counted(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, FALLING, 3)
    plan.absent("failed", "no memory", model="ldm", train_items=16, seed=3)
    for size in (64, 256, 1024):
        plan.done(record(0.3, items=size, seed=3), model="ldm", train_items=size, seed=3)
    one = trends_of(plan)["train_items", "exposed_share", "copy", "ldm"]
    assert (one.blocks, one.planned) == (3, 4)
    assert one.answer.endswith("; 1 of 4 blocks left out")


def test_a_size_without_any_number_leaves_the_axis_and_is_named(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, FALLING, 3)
    for seed in range(3):
        plan.done(
            record(None, items=4, seed=seed, reason="cannot tell: 4 patients"), model="ldm", train_items=4, seed=seed
        )
    tests = trends_of(plan)
    one = tests["train_items", "exposed_share", "copy", "ldm"]
    assert (one.levels, one.left_out) == ((16, 64, 256, 1024), (4,))
    assert one.answer.endswith("; no number at 4")
    # The memorised share of these cells has a number: that test keeps the size.
    assert tests["train_items", "memorised_share", "copy", "ldm"].levels == (4, 16, 64, 256, 1024)


def test_all_training_items_come_last(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for seed in range(2):
        for value, items in (("all", 900), (64, 64), (256, 256)):
            plan.done(record(0.5 - items / 2000, items=items, seed=seed), train_items=value, seed=seed)
    one = trends_of(plan)["train_items", "exposed_share", "copy", "ldm"]
    assert one.levels == (64, 256, "all")
    assert one.test is not None
    assert one.test.direction == "falls"


def test_names_have_no_order_unless_one_is_given(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for seed in range(4):
        for value, share in (("flips", 0.3), ("none", 0.5), ("strong", 0.1)):
            plan.done(record(share, items=100, seed=seed), augment=value, seed=seed)
    key = ("augment", "exposed_share", "copy", "ldm")
    assert trends_of(plan)[key].answer == (
        "not tested: the values have no order of their own; name one before the values are seen"
    )
    one = trends_of(plan, orders={"augment": ["none", "flips", "strong"]})[key]
    assert one.levels == ("none", "flips", "strong")
    assert one.test is not None
    assert one.test.direction == "falls"


def test_orders_and_claims_that_do_not_fit(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, FALLING, 1)
    with pytest.raises(UsageError) as error:
        trends_of(plan, claims={"train_item": "falls"})
    assert str(error.value) == (
        "this sweep has no axis 'train_item' that a trend could follow\n"
        "  hint: did you mean 'train_items'? it has: train_items"
    )
    with pytest.raises(UsageError) as error:
        trends_of(plan, orders={"train_items": [16, 64]})
    assert str(error.value) == (
        "the order of train_items names 16, 64, and its values are 16, 64, 256, 1024\n  hint: name each value once"
    )
    with pytest.raises(UsageError) as error:
        trends_of(plan, claims={"train_items": "sinks"})
    assert str(error.value) == "train_items is claimed to be 'sinks'\n  hint: say one of falls, rises, changes"


def test_samples_that_came_out_wrong_are_told_with_the_trend(tmp_path: Path) -> None:
    plan = sizes_and_seeds(tmp_path, FALLING, 2)
    plan.done(record(0.0, items=4096, note="all samples are noise"), model="ldm", train_items=4096, seed=0)
    plan.done(record(0.0, items=4096, seed=1), model="ldm", train_items=4096, seed=1)
    one = trends_of(plan)["train_items", "exposed_share", "copy", "ldm"]
    assert one.answer.endswith("; samples of 1 tested cells are unlike the training images")


def test_an_axis_that_a_model_does_not_have_is_not_tested_for_it(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    for seed in range(2):
        for dose in (0.1, 0.5):
            plan.done(record(dose, items=64, seed=seed, model="copycat"), model="copycat", dose=dose, seed=seed)
        plan.done(record(0.0, items=64, seed=seed, model="gaussian"), model="gaussian", seed=seed)
    assert {model for _, _, _, model in trends_of(plan)} == {"copycat"}
