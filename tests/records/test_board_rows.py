"""Rows over seeds: which runs are one row, and what its mean, interval and rank are."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from made_boards import table_of
from scipy import stats

from benchmark.records.board_rows import Peers, Row, over_seeds, rows_of, settings_text
from benchmark.records.leaderboard import HEADLINE, cells_of, ranks
from benchmark.records.record import PROTOCOL, CohortFacts, Record, ScoreEntry, Spec

NOISE = np.random.default_rng(0).standard_normal(200)
SHARE = (0.0, 1.0)
UNLIMITED = (-math.inf, math.inf)


def record(seed: int = 0, excess: float | None = 0.1, *, detector: str = "copy", **spec: Any) -> Record:
    """A run whose own interval is 0.02 down and 0.05 up; its replicates share one error with all other runs."""
    score = ScoreEntry(value=None, reason="failed")
    if excess is not None:
        score = ScoreEntry(value=excess, low=excess - 0.02, high=excess + 0.05, n=300, direction="lower")
    given = {"model": "ldm", "preset": "smoke", "settings": {"augment": False}, "data": "toy", "data_options": {}}
    departs = spec.get("split", "patients") != "patients" or spec.get("repeat", 1) != 1
    return Record(
        protocol="custom" if departs else PROTOCOL,
        spec=Spec(**{**given, "samples": 300, "seed": seed, **spec}),
        cohort=CohortFacts(
            name="toy", key="0123", shape=(1, 8, 8), channels=("x",), spacing_mm=(),
            items={"train": 50}, patients={"train": 10},
        ),
        scores={
            f"exposed.patients[{detector}]": score if excess is None else ScoreEntry(value=3.0, low=1.0, high=5.0),
            f"exposed.items[{detector}]": score,
            "detector.recall.flip[copy]": ScoreEntry(value=0.5 + 0.1 * seed),
            "detector.recall.exact[copy]": ScoreEntry(value=1.0),
        },
        replicates={}
        if excess is None
        else {f"exposed.items[{detector}]": tuple((excess + 0.02 * NOISE).tolist())},
        cost={"fit_seconds": 10.0 + seed},
        environment={},
        hashes={"samples": f"{seed}"},
    )  # fmt: skip


def entry(value: float | None, low: float | None = None, high: float | None = None) -> ScoreEntry:
    return ScoreEntry(value=value, low=low, high=high, reason="" if value is not None else "failed")


# Which runs are one row


def test_runs_that_differ_in_their_seed_are_one_row() -> None:
    (row,) = rows_of([record(2, 0.3), record(0, 0.1), record(1, 0.2)])
    assert row.seeds == (0, 1, 2)
    assert row.value(HEADLINE) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "spec",
    [
        {"model": "ddpm"},
        {"preset": "paper"},
        {"settings": {"augment": True}},
        {"samples": 301},
        {"data_options": {"channels": "t1"}},
        {"split": "images"},
        {"train_items": 40},
        {"train_patients": 4},
        {"repeat": 10, "repeat_share": 0.1},
        {"budget_seconds": 60.0},
        {"detector": "ssim"},
    ],
)
def test_runs_that_differ_in_anything_else_are_two_rows(spec: dict[str, Any]) -> None:
    assert [row.seeds for row in rows_of([record(0), record(1, **spec)])] == [(0,), (1,)]


def test_one_seed_twice_is_two_rows() -> None:
    rows = rows_of([record(0, 0.1), record(0, 0.2), record(1, 0.3)])
    assert [row.seeds for row in rows] == [(0, 1), (0,)]
    assert [row.value(HEADLINE) for row in rows] == [pytest.approx(0.2), 0.2]


def test_how_a_record_says_what_changed_does_not_part_rows() -> None:
    assert len(rows_of([record(0), record(1, changed={"augment": False})])) == 1


# Mean and interval


def test_one_seed_keeps_its_own_interval() -> None:
    own = entry(0.3, 0.25, 0.4)
    assert over_seeds([own], 1, SHARE) is own


def test_the_interval_of_three_seeds_by_hand() -> None:
    entries = [entry(0.2, 0.1, 0.25), entry(0.4, 0.35, 0.5), entry(0.6, 0.54, 0.75)]
    between = 4.302653 * 0.2 / math.sqrt(3)  # t(0.975, 2); the standard deviation is 0.2
    combined = over_seeds(entries, 3, UNLIMITED)
    assert combined.value == pytest.approx(0.4)
    assert combined.low == pytest.approx(0.4 - math.sqrt((0.21 / 3) ** 2 + between**2))
    assert combined.high == pytest.approx(0.4 + math.sqrt(0.1**2 + between**2))
    clipped = over_seeds(entries, 3, (0.0, 0.8))
    assert (clipped.low, clipped.high) == (0.0, 0.8)


def test_equal_seeds_keep_the_interval_within_a_run() -> None:
    combined = over_seeds([entry(0.2, 0.1, 0.25)] * 4, 4, SHARE)
    assert (combined.value, combined.low, combined.high) == pytest.approx((0.2, 0.1, 0.25))


def test_a_seed_without_the_score_is_said() -> None:
    combined = over_seeds([entry(0.2), entry(None), entry(0.4)], 3, SHARE)
    assert (combined.value, combined.reason) == (None, "not scored: 1 of 3 seeds")
    assert over_seeds([entry(None), entry(None)], 2, SHARE).reason == "not scored: 2 of 2 seeds"
    deleted = over_seeds([entry(0.2), entry(0.4)], 3, SHARE)
    assert (deleted.value, deleted.reason) == (None, "not in the record: 1 of 3 seeds")
    refused = ScoreEntry(value=None, reason="refused: it has seen held-out patients")
    assert over_seeds([entry(0.2), refused], 2, SHARE).reason == "refused: 1 of 2 seeds"


def test_without_an_interval_in_each_run_there_is_none() -> None:
    combined = over_seeds([entry(0.2, 0.1, 0.3), entry(0.4)], 2, SHARE)
    assert (combined.value, combined.low, combined.high) == (pytest.approx(0.3), None, None)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("shared", "training"), [(0.03, 0.0), (0.0, 0.03), (0.02, 0.03)])
def test_the_interval_covers_the_mean_of_all_trainings(seeds: int, shared: float, training: float) -> None:
    """`shared` is the error of the patients, the same for all seeds, and known to each run's interval."""
    rng, covered = np.random.default_rng(seeds), 0
    for _ in range(400):
        values = 0.4 + shared * rng.standard_normal() + training * rng.standard_normal(seeds)
        runs = [entry(value, value - 1.96 * shared, value + 1.96 * shared) for value in values]
        combined = over_seeds(runs, seeds, UNLIMITED)
        assert combined.low is not None
        assert combined.high is not None
        covered += combined.low <= 0.4 <= combined.high
    assert covered >= 400 * 0.95 - 3 * math.sqrt(400 * 0.95 * 0.05)


# Ranks and cells


def test_the_spread_between_seeds_makes_ties() -> None:
    """On the same patients 0.1 and 0.2 differ beyond doubt; two seeds that read 0.05 and 0.35 do not."""
    first, alone, wide = (
        record(0, 0.1),
        record(0, 0.2, model="b"),
        [record(s, 0.05 + 0.3 * s, model="c") for s in (0, 1)],
    )
    assert ranks(rows_of([first, alone])) == [1, 2]
    assert ranks(rows_of([first, *wide])) == [1, 1]
    steady = [record(seed, 0.2 + 0.001 * seed, model="d") for seed in (0, 1)]
    assert ranks(rows_of([first, *steady])) == [1, 2]


def test_ranks_of_several_seeds_by_hand() -> None:
    """The difference is 0.1 with no error of patients: it must be larger than t s / sqrt(2), s = d / sqrt(2)."""
    least = 2 * 0.1 / stats.t.ppf(0.975, 1)
    for distance, apart in ((0.99 * least, True), (1.01 * least, False)):
        pair = [record(0, 0.3 - distance / 2, model="b"), record(1, 0.3 + distance / 2, model="b")]
        assert ranks(rows_of([record(0, 0.2), *pair])) == ([1, 2] if apart else [1, 1])
        assert ranks(rows_of([record(0, 0.4), *pair])) == ([2, 1] if apart else [1, 1])


def test_replicates_that_cannot_be_averaged_are_none() -> None:
    short = record(1).model_copy(update={"replicates": {HEADLINE: (0.1, 0.2)}})
    assert Row((record(0), short)).replicates(HEADLINE) is None
    assert ranks(rows_of([record(0), short, record(0, 0.5, model="b")])) == [1, 1]


def test_the_cells_of_three_seeds() -> None:
    (line,) = table_of([record(0, 0.1), record(1, 0.2), record(2, 0.3)]).to_dict("records")
    between = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert line["exposed share"] == f"0.200 [0.000, {0.2 + math.hypot(0.05, between):.3f}]"
    (line,) = table_of([record(0, 0.1), record(1, 0.2), record(2, None)]).to_dict("records")
    assert line["exposed share"] == "not scored (1 of 3 seeds)"
    assert (line["seeds"], line["fit"], line["rank"]) == ("3 (0, 1, 2)", "11 s", "")
    assert line["planted recall"] == "0.80 (worst: flip 0.60)"


def without(one: Record, *names: str) -> Record:
    """The record after somebody has deleted scores (or costs) from its file."""
    kept = {field: {k: v for k, v in getattr(one, field).items() if k not in names} for field in ("scores", "cost")}
    return one.model_copy(update=kept)


DELETED = {
    "exposed.items[copy]": ("exposed share", "not in the record (1 of 3 seeds)"),
    "exposed.patients[copy]": ("exposed patients", "not in the record (1 of 3 seeds)"),
    "detector.recall.flip[copy]": ("planted recall", "not in the record: flip"),
    "fit_seconds": ("fit", "not in the record"),
}


@pytest.mark.parametrize("name", DELETED)
@pytest.mark.parametrize("seed", [0, 2])
def test_a_number_deleted_from_one_of_three_records_leaves_the_row_and_the_others(name: str, seed: int) -> None:
    others = [record(0, 0.4, model="b"), record(0, 0.7, model="c")]
    whole = [record(number, 0.1 + 0.001 * number) for number in range(3)]
    before = table_of([*whole, *others]).set_index("model")
    after = table_of([without(one, name) if one.spec.seed == seed else one for one in whole] + others).set_index(
        "model"
    )
    heading, cell = DELETED[name]
    assert list(after.index) == (["b", "c", "ldm"] if name == "exposed.items[copy]" else ["ldm", "b", "c"])
    assert after.loc["ldm", "seeds"] == "3 (0, 1, 2)"
    assert after.loc["ldm", heading] == cell
    changed = {column for column in before if before.loc["ldm", column] != after.loc["ldm", column]}
    assert changed == {heading} | ({"rank", "possible ranks"} if name == "exposed.items[copy]" else set())
    unmoved = [column for column in before if column not in ("rank", "possible ranks")]
    assert after.loc[["b", "c"], unmoved].equals(before.loc[["b", "c"], unmoved])
    if name != "exposed.items[copy]":
        assert list(after["rank"]) == list(before["rank"]) == [1, 2, 3]


def test_a_number_deleted_from_the_only_record_of_a_row() -> None:
    table = table_of([without(record(0, 0.1), *DELETED), record(0, 0.4, model="b")]).set_index("model")
    assert list(table.index) == ["b", "ldm"]
    assert table.loc["ldm", "rank"] == ""
    for heading in ("exposed share", "exposed patients", "fit", "can show"):
        assert table.loc["ldm", heading] == "not in the record"
    assert table.loc["ldm", "planted recall"] == "not in the record: flip"


# Settings


def texts(*records: Record) -> list[str]:
    rows = rows_of(records)
    board = Peers(tuple(rows))
    cells = [cells_of(row, board)["settings"] for row in rows]
    assert cells == [settings_text(row, board) for row in rows]
    return cells


def test_settings_that_differ_from_the_preset_are_shown() -> None:
    own = {"augment": True, "widths": [32, 64], "steps": 5}
    assert texts(record(settings=own, changed={"augment": True, "widths": [32, 64]})) == ["augment=true, widths=32,64"]
    assert texts(record(budget_seconds=90.0)) == ["budget 90 s"]
    assert texts(record()) == [""]


def test_settings_that_differ_between_rows_of_a_preset_are_shown() -> None:
    rows = (record(), record(settings={"augment": True, "new": 1}), record(model="b", settings={"augment": 7}))
    assert texts(*rows) == ["augment=false", "augment=true, new=1", ""]


@pytest.mark.parametrize("typed", ["/home/anna/x", "anna", "Anna Müller", "anna.csv"])
def test_text_among_the_settings_is_a_digest(typed: str) -> None:
    shown = texts(record(settings={"path": typed}, changed={"path": typed}))
    assert re.fullmatch("path=text-[0-9a-f]{8}", shown[0])
    assert shown == texts(record(settings={"path": typed}, changed={"path": typed}))


def test_text_that_an_option_lists_and_older_digests_are_shown() -> None:
    own = {"augment": "flips", "path": "(path)", "table": "text-1a2b3c4d"}
    assert texts(record(settings=own, changed=own)) == ["augment=flips, path=(path), table=text-1a2b3c4d"]
