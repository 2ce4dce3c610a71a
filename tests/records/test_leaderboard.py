"""Boards: who meets whom, who shares a rank, and what is written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_boards import table_of, write_boards
from pydantic import ValidationError

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.sealed import seal
from benchmark.records.board_rows import Peers, rows_of
from benchmark.records.collecting import collect, gather
from benchmark.records.columns import LINES
from benchmark.records.history import with_history
from benchmark.records.leaderboard import (
    HEADLINE,
    boards,
    cells_of,
    notes_of,
    rank_intervals,
    rank_text,
    ranks,
)
from benchmark.records.record import CohortFacts, Record, ScoreEntry, Spec

KEY = "0123456789abcdef"
NOISE = np.random.default_rng(0).standard_normal(200)


def score(value: float | None, low: float | None = None, high: float | None = None, reason: str = "") -> ScoreEntry:
    return ScoreEntry(value=value, low=low, high=high, n=100, direction="lower", reason=reason)


def record(
    model: str = "ldm",
    excess: float | None = 0.1,
    *,
    cohort: str = "phantom-mr",
    key: str = KEY,
    protocol: str = "p2",
    seed: int = 0,
    replicates: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Record:
    """A record whose replicates share a large error with all others and have a small one of their own."""
    own = np.random.default_rng([*model.encode(), seed]).standard_normal(200)
    spread = (excess or 0) + 0.1 * NOISE + 0.01 * own if replicates is None else replicates
    return Record(
        protocol=protocol,
        spec=Spec(
            model=model, preset="smoke", settings={}, data=cohort, data_options={"root": "x"}, samples=300, seed=seed
        ),
        cohort=CohortFacts(
            name=cohort, key=key, shape=(1, 64, 64), channels=("flair",), spacing_mm=(1.0, 1.0),
            items={"train": 50, "calibration": 25, "test": 24}, patients={"train": 10, "calibration": 6, "test": 5},
            notes=notes,
        ),
        scores={
            HEADLINE: score(None, reason="failed")
            if excess is None
            else score(excess, max(0.0, excess - 0.05), excess + 0.05),
            "copies.null[copy]": score(0.04, 0.01, 0.09),
            "exposed.items[pixels]": score(0.02, 0.0, 0.06),
            "detector.recall.flip[copy]": score(0.5),
            "detector.recall.exact[copy]": score(1.0),
            "quality.frechet[random-conv]": score(123.4, 100.0, 150.0),
        },
        replicates={} if excess is None else {HEADLINE: tuple(spread.tolist())},
        cost={"fit_seconds": 12.4},
        environment={"torch": "2.8.0"},
        hashes={"samples": f"{model}{seed}"},
    )  # fmt: skip


def cells(one: Record) -> dict[str, str]:
    """The board row of a record that is alone."""
    (row,) = rows_of([one])
    return cells_of(row, Peers((row,)))


def put(folder: Path, *records: Record) -> None:
    for number, one in enumerate(records):
        one.write(folder / f"run-{number}" / "seed-0" / "record.json")


# Groups


def test_rows_of_different_patients_or_rules_never_meet() -> None:
    given = [record("a"), record("b", key="f" * 16), record("c", protocol="custom"), record("e")]
    given.append(record("d", cohort="brats20"))
    found = {group: [one.spec.model for one in members] for group, members in boards(given).items()}
    assert found == {
        ("brats20", KEY, "p2"): ["d"],
        ("phantom-mr", KEY, "custom"): ["c"],
        ("phantom-mr", KEY, "p2"): ["a", "e"],
        ("phantom-mr", "f" * 16, "p2"): ["b"],
    }
    assert list(found) == sorted(found)


def test_each_cohort_has_its_own_files(tmp_path: Path) -> None:
    written = write_boards([record("one"), record("two", key="f" * 16), record("three", cohort="brats20")], tmp_path)
    stems = (f"brats20-{KEY}", f"phantom-mr-{KEY}", f"phantom-mr-{'f' * 16}")
    assert [path.name for path in written] == [f"{stem}-p2{end}" for stem in stems for end in (".md", ".csv")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    for path, model in zip(written[::2], ("three", "one", "two"), strict=True):
        rows = [line for line in path.read_text().splitlines() if line.startswith("| 1 |")]
        assert len(rows) == 1
        assert model in rows[0]


def test_each_protocol_has_its_own_files(tmp_path: Path) -> None:
    write_boards([record("one"), record("two", protocol="custom")], tmp_path)
    texts = [path.read_text() for path in tmp_path.glob("*.md")]
    assert len(texts) == 2
    assert sum("protocol p2" in text for text in texts) == 1


@pytest.mark.parametrize("cohort", ["../evil", "a/b", ".hidden", ""])
def test_a_record_cannot_write_elsewhere(cohort: str) -> None:
    with pytest.raises(ValidationError, match=r"should match pattern|is no name"):
        record(cohort=cohort)


# Ranks


def test_clear_differences_and_ties() -> None:
    given = [record("b", 0.3), record("a", 0.1), record("c", 0.301), record("d", 0.6)]
    assert ranks(rows_of(given)) == [2, 1, 2, 4]


def test_rows_that_are_not_shown_to_copy_share_the_first_rank() -> None:
    """Their replicates differ beyond doubt; but 0.02 [0, 0.07] and 0.04 [0, 0.09] may both be chance."""
    given = [
        record("a", 0.02, replicates=NOISE),
        record("b", 0.04, replicates=NOISE + 0.02),
        record("c", 0.3, replicates=NOISE + 0.28),
    ]
    for one in given:
        one.scores[HEADLINE] = score(one.scores[HEADLINE].value, 0.01, 0.4)
    assert ranks(rows_of(given)) == [1, 2, 3]
    for one in given[:2]:
        one.scores[HEADLINE] = score(one.scores[HEADLINE].value, 0.0, 0.1)
    assert ranks(rows_of(given)) == [1, 1, 3]


def test_rows_are_compared_in_pairs() -> None:
    """Intervals overlap by far, yet the same patients were drawn: the difference is sure."""
    first, second = record("a", 0.1), record("b", 0.15)
    assert np.quantile(first.replicates[HEADLINE], 0.975) > np.quantile(second.replicates[HEADLINE], 0.025) + 0.2
    assert ranks(rows_of([second, first])) == [2, 1]
    unpaired = [record("a", 0.1), record("b", 0.15, replicates=0.15 + 0.1 * NOISE[::-1])]
    assert ranks(rows_of(unpaired)) == [1, 1]


@pytest.mark.parametrize(("below", "expected"), [(0, [1, 2]), (4, [1, 2]), (6, [1, 1])])
def test_apart_means_95_percent_of_differences(below: int, expected: list[int]) -> None:
    """Of 200 differences, at most 5 may be below zero at the lower end of a two-sided 95 % interval."""
    differences = np.where(np.arange(200) < below, -0.01, 0.02)
    assert ranks(rows_of([record(replicates=np.zeros(200)), record("b", replicates=differences)])) == expected


def test_what_has_no_replicates_cannot_be_told_apart() -> None:
    given = [record("a", 0.1), record("b", None), record("c", 0.1, replicates=np.full(7, 0.9))]
    assert ranks(rows_of(given)) == [1, 1, 1]


def test_one_row() -> None:
    assert ranks(rows_of([record()])) == [1]


def test_table_is_sorted_by_rank_then_value() -> None:
    table = table_of([record("d", 0.6), record("c", 0.301), record("none", None), record("b", 0.3), record("a", 0.1)])
    assert list(zip(table["rank"], table["model"], strict=True)) == [
        (1, "a"), (2, "b"), (2, "c"), (4, "d"), ("", "none"),
    ]  # fmt: skip


def test_a_row_with_a_refused_seed_has_no_rank() -> None:
    """Four seeds were refused, one read 0: the mean of the rest must not win the board."""
    refused = [record("a", None, seed=seed) for seed in (1, 2, 3, 4)]
    table = table_of([record("a", 0.0), *refused, record("b", 0.3)])
    assert list(zip(table["rank"], table["model"], strict=True)) == [(1, "b"), ("", "a")]


def test_a_row_without_replicates_has_no_rank() -> None:
    """No row can be shown to be below it: with a share of 0.9 it would still be the first."""
    bare = record("a", 0.9).model_copy(update={"replicates": {}})
    table = table_of([bare, record("b", 0.3)])
    assert list(zip(table["rank"], table["model"], strict=True)) == [(1, "b"), ("", "a")]


# Rows


def test_row_as_text() -> None:
    found = cells(record())
    assert found["model"] == "ldm"
    assert (found["train items"], found["samples"], found["seeds"], found["fit"]) == ("50", "300", "1 (0)", "12 s")
    assert found["exposed share"] == "0.100 [0.050, 0.150]"
    assert found["copy rate: null"] == "0.040 [0.010, 0.090]"
    assert found["exposed share [pixels]"] == "0.020 [0.000, 0.060]"
    assert found["Frechet [random-conv]"] == "123 [100, 150]"
    assert found["planted recall"] == "0.75 (worst: flip 0.50)"
    assert found["planted recall [pixels]"] == "not scored"


def test_what_is_missing_is_never_zero() -> None:
    found = cells(record(excess=None))
    assert found["exposed share"] == "not scored"
    assert found["copy rate"] == "not in the record"
    assert found["members AUC"] == "not in the record"


def test_each_line_of_a_record_has_a_heading_of_its_own() -> None:
    headings = [name for name in cells(record()) if name.split(":")[0] in {line.heading for line in LINES}]
    assert len(headings) == len(set(headings)) == len(LINES)


# Files


def test_markdown_and_csv_say_the_same(tmp_path: Path) -> None:
    records = [record("b", 0.4, notes=("groups of exact duplicates within one patient: 2",)), record("a", 0.1)]
    markdown, comma = (path.read_text() for path in write_boards(records, tmp_path))
    table = table_of(records)
    expected = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert [line.strip("| ").split(" | ") for line in (lines[0], *lines[2:])] == expected
    assert set(lines[1]) <= set("| -")
    assert list(csv.reader(io.StringIO(comma))) == expected
    subtitle = (
        "protocol p2, cohort 01234567: 1 x 64 x 64, train 50 items of 10 patients, "
        "calibration 25 items of 6 patients, test 24 items of 5 patients"
    )
    assert "phantom-mr: memorisation board" in markdown
    assert subtitle in markdown
    assert all(
        note in markdown for note in ("groups of exact duplicates within one patient: 2", "No positive control yet")
    )


def test_building_again_replaces_the_files(tmp_path: Path) -> None:
    write_boards([record("old")], tmp_path)
    paths = write_boards([record("new")], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert all("new" in path.read_text() and "| old |" not in path.read_text() for path in paths)


HOSTILE = '<script>alert("x")</script> & | co [a](http://b) \x1b[31m \u202e `c` *d*'


def test_a_hostile_reason_stays_one_cell(tmp_path: Path) -> None:
    """The schema refuses control characters; a reason that holds any all the same is harmless in every file."""
    declined = record("a").model_copy(
        update={"status": "declined", "reason": f"=1+1\n{HOSTILE}", "scores": {}, "replicates": {}}
    )
    markdown, comma = (path.read_text() for path in write_boards([declined], tmp_path))
    (line,) = (line for line in markdown.splitlines() if "declined" in line)
    assert "&lt;script&gt;" in line
    assert "\\x1b[31m" in line.replace("\\\\", "\\")
    assert "[a\\](http:\\//b)" in line
    assert not {"\x1b", "\u202e"} & set(markdown)
    header = next(line for line in markdown.splitlines() if line.startswith("| rank |"))
    assert line.replace("\\|", "").count("|") == header.count("|")
    assert not {"\x1b", "\u202e"} & set(comma)


@pytest.mark.parametrize(
    "name", ["<b>x</b>", "=1+1", "@x", "-x", "a|b", "../x", "/etc", "a\nb", "\x1b[1m", "\u202ex", "", "x" * 201]
)
def test_a_name_with_markup_a_path_or_an_escape_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"is no name|a name of 201 characters"):
        record(name)


def test_a_missing_control_is_said() -> None:
    missing = "No positive control yet: bench run --model copycat --set contamination=0.1 on the same cohort."
    assert missing in notes_of([record("ldm")])
    assert missing not in notes_of([record("ldm"), record("copycat")])


def test_cohort_notes_are_said_once() -> None:
    empty, few = "left out, no item passes the recipe: 3", "few patients in test, so intervals are wide: 7"
    notes = notes_of([record("a", notes=(empty,)), record("b", notes=(empty, few, "seen by Dr. Anna: 2"))])
    assert notes.count(empty) == notes.count(few) == 1
    assert "seen by Dr. Anna: 2" not in notes
    assert "a remark of the data set that only its private files hold: 2" in notes


def test_no_patient_and_no_path_in_any_output(tmp_path: Path) -> None:
    runs = tmp_path / "hospital-of-anna"
    private = str(runs / "patient-007")
    given = record()
    spec = given.spec.model_copy(update={"data_options": {"root": private}, "settings": {"checkpoint": private}})
    put(runs, given.model_copy(update={"spec": spec, "environment": {"folder": private}}))
    for path in write_boards(collect([runs]), tmp_path / "out"):
        text = path.read_text()
        assert "ldm" in text
        assert not [word for word in (str(tmp_path), "hospital", "anna", "patient-007") if word in text]


def test_a_record_without_the_headline(tmp_path: Path) -> None:
    given = record()
    scores = {name: entry for name, entry in given.scores.items() if name != HEADLINE}
    written = write_boards([given.model_copy(update={"scores": scores}), record("b", 0.3)], tmp_path)
    rows = list(csv.DictReader(io.StringIO(written[1].read_text())))
    assert [(row["rank"], row["model"], row["exposed share"]) for row in rows] == [
        ("1", "b", "0.300 [0.250, 0.350]"), ("", "ldm", "not in the record"),
    ]  # fmt: skip
    assert (
        "- Not in the record: evaluate that run again (bench evaluate RUN); the seeds that have it are not averaged."
    ) in written[0].read_text()


# Collecting


def test_collect_finds_runs_and_submissions(tmp_path: Path) -> None:
    put(tmp_path / "runs", record("a"), record("b"))
    record("c").write(tmp_path / "boards" / "records" / "from-elsewhere.json")
    (tmp_path / "boards" / "other.json").write_text("not a record")
    found = collect([tmp_path / "runs", tmp_path / "boards"])
    assert sorted(one.spec.model for one in found) == ["a", "b", "c"]


def test_a_record_found_twice_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "runs", record("a"), record("a", seed=1))
    record("a").write(tmp_path / "boards" / "records" / "a.json")
    found = collect([tmp_path / "runs", tmp_path / "runs", tmp_path / "boards"])
    assert sorted(one.spec.seed for one in found) == [0, 1]


def test_a_run_done_again_elsewhere_counts_once(tmp_path: Path) -> None:
    """The same run is the same row, however long it took and wherever."""
    again = record("a").model_copy(update={"cost": {"fit_seconds": 99.0}, "environment": {"torch": "2.9.0"}})
    put(tmp_path, record("a"), again)
    assert len(collect([tmp_path])) == 1


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        collect([tmp_path / "runs", tmp_path / "boards"])
    assert str(error.value) == (
        f"there is no record in {tmp_path / 'runs'}, {tmp_path / 'boards'}\n"
        "  hint: run a model first: bench run --model ldm --data phantom-mr"
    )


def test_a_broken_record_is_named_and_hides_no_other(tmp_path: Path) -> None:
    put(tmp_path, record("a"), record("b"))
    path = tmp_path / "run-0" / "seed-0" / "record.json"
    values = json.loads(path.read_text())
    del values["cohort"]["key"]
    path.write_text(json.dumps(values))
    found = gather([tmp_path])
    assert [one.spec.model for one in found.records.values()] == ["b"]
    assert [str(one) for one in found.refused] == [f"{path}: has changed since it was written"]
    seal(path)  # as another program of ours would have written it
    found = gather([tmp_path])
    assert [one.spec.model for one in found.records.values()] == ["b"]
    assert [str(one) for one in found.refused] == [f"{path}: is not a valid record: cohort.key: Field required"]


def test_records_of_one_run_with_other_scores_are_both_refused(tmp_path: Path) -> None:
    """Formerly the last one read replaced the honest one without a word."""
    honest = record("a")
    edited = honest.model_copy(update={"scores": {**honest.scores, HEADLINE: score(0.0, 0.0, 0.01)}})
    put(tmp_path, honest, edited, record("b"))
    found = gather([tmp_path])
    first, second = (tmp_path / f"run-{number}" / "seed-0" / "record.json" for number in (0, 1))
    assert [one.spec.model for one in found.records.values()] == ["b"]
    assert [str(one) for one in found.refused] == [
        f"{first}: it is of the same run as {second}, and has other scores",
        f"{second}: it is of the same run as {first}, and has other scores",
    ]


def test_other_patients_under_the_same_key_are_refused(tmp_path: Path) -> None:
    other = record("c")
    facts = other.cohort.model_copy(update={"patients": {"train": 11, "calibration": 6, "test": 5}})
    put(tmp_path, record("a"), record("b"), other.model_copy(update={"cohort": facts}))
    found = gather([tmp_path])
    assert [one.spec.model for one in found.records.values()] == ["a", "b"]
    first, third = (tmp_path / f"run-{number}" / "seed-0" / "record.json" for number in (0, 2))
    assert [str(one) for one in found.refused] == [
        f"{third}: its cohort has the key {KEY} of {first}, and another patients"
    ]


def test_a_protocol_says_what_split_it_takes() -> None:
    official = record().spec.model_copy(update={"split": "official"})
    values = {**record().model_dump(by_alias=True), "spec": official.model_dump()}
    with pytest.raises(ValidationError, match="protocol p2 and the split official: such a record is custom"):
        Record.model_validate(values)
    custom = Record.model_validate({**values, "protocol": "custom"})
    assert list(boards([custom, record(protocol="custom")])) == [
        ("phantom-mr", KEY, "custom"), ("phantom-mr", KEY, "custom-official"),
    ]  # fmt: skip


def test_a_declined_run_has_a_row_without_rank_or_numbers(tmp_path: Path) -> None:
    declined = record("stylegan2-ada").model_copy(
        update={"status": "declined", "reason": "no checkout", "scores": {}, "cost": {}, "replicates": {}}
    )
    table = table_of([declined, record("ldm")])
    assert list(table["model"]) == ["ldm", "stylegan2-ada"]
    assert list(table["rank"]) == [1, ""]
    shown = {name: value for name, value in table.iloc[1].items() if value}
    assert shown == {
        "model": "stylegan2-ada", "preset": "smoke", "train items": "50", "samples": "300",
        "exposed patients": "declined: no checkout", "seeds": "1 (0)",
    }  # fmt: skip
    assert all(path.exists() for path in write_boards([declined], tmp_path))


def test_samples_that_look_like_no_training_image_are_said_on_the_board(tmp_path: Path) -> None:
    """The column is there where a row needs it; its meaning stands below the table."""
    ordinary = record("a")
    ordinary = ordinary.model_copy(update={"scores": {**ordinary.scores, "samples.unlike": score(0.02)}})
    noted = {"samples.unlike": score(1.0, reason="100 % of the samples are unlike the training images: mean higher")}
    odd = record("b").model_copy(update={"scores": {**record("b").scores, **noted}})
    assert "samples unlike train" not in table_of([ordinary])
    assert not any(note.startswith("samples unlike train") for note in notes_of([ordinary]))
    table = table_of([ordinary, odd])
    assert dict(zip(table["model"], table["samples unlike train"], strict=True)) == {"a": "", "b": "1.000"}
    assert list(table["exposed share"]) == ["0.100 [0.050, 0.150]", "0.100 [0.050, 0.150] (samples unlike train)"]
    assert any(note.startswith("samples unlike train: largest share of samples outside") for note in notes_of([odd]))


# Nothing vanishes


def test_rank_intervals_leave_out_what_is_sure() -> None:
    """b and c cannot be told apart: each may be second or third; a is first and d is last, beyond doubt."""
    given = rows_of([record("b", 0.3), record("a", 0.1), record("c", 0.301), record("d", 0.6)])
    assert rank_intervals(given) == [(2, 3), (1, 1), (2, 3), (4, 4)]
    unknown = rows_of([record("a", 0.1), record("c", 0.1, replicates=np.full(7, 0.9))])
    assert rank_intervals(unknown) == [(1, 2), (1, 2)]


def test_the_board_shows_possible_ranks() -> None:
    table = table_of([record("b", 0.3), record("a", 0.1), record("c", 0.301), record("none", None)])
    assert list(zip(table["model"], table["possible ranks"], strict=True)) == [
        ("a", "1 to 1"), ("b", "2 to 3"), ("c", "2 to 3"), ("none", ""),
    ]  # fmt: skip


def test_the_rank_of_one_record_among_others() -> None:
    given, others = record("b", 0.3), [record("a", 0.1), record("c", 0.301), record("x", 0.0, key="f" * 16)]
    assert rank_text(given, others) == "rank 2 of 3 (95 %: 2 to 3)"
    assert rank_text(given, [*others, given]) == "rank 2 of 3 (95 %: 2 to 3)"
    assert rank_text(record("none", None), others) == "no rank"


def test_a_record_that_is_gone_leaves_its_row(tmp_path: Path) -> None:
    """Formerly a row vanished with its file, and nobody could tell."""
    folder = tmp_path / "records"
    first, second = folder / "a.json", folder / "b.json"
    for path, model in ((first, "a"), (second, "b")):
        record(model).write(path)
    assert with_history(gather([tmp_path]).records, tmp_path)[1] == []
    second.unlink()
    records, gone = with_history(gather([tmp_path]).records, tmp_path)
    assert gone == ["b smoke, seed 0, on phantom-mr: the record is no longer there, and nobody said why"]
    table = table_of(records)
    assert list(zip(table["rank"], table["model"], table["exposed patients"], strict=True)) == [
        (1, "a", "not in the record"),
        ("", "b", "retracted: the record is no longer there, and nobody said why"),
    ]
    assert with_history(gather([tmp_path]).records, tmp_path)[1] == gone  # and stays so


def test_the_history_is_of_submitted_records_only(tmp_path: Path) -> None:
    put(tmp_path / "runs", record("a"))
    with_history(gather([tmp_path / "runs"]).records, tmp_path)
    assert not (tmp_path / "history.json").exists()


def test_a_broken_history_is_named(tmp_path: Path) -> None:
    for text, why in (("[]", "it is no table"), ('{"x": {}}', "spec: Field required")):
        (tmp_path / "history.json").write_text(text)
        with pytest.raises(BadDataError) as error:
            with_history({}, tmp_path)
        assert str(error.value) == (
            f"{tmp_path / 'history.json'} is not a valid history of the boards: {why}\n"
            "  hint: restore it, such as with git checkout"
        )


def test_a_retracted_record_stays_and_hides_its_copies(tmp_path: Path) -> None:
    put(tmp_path, record("a"), record("b"))
    record("a").retracted("trained on test patients").write(tmp_path / "records" / "a.json")
    found = gather([tmp_path])
    assert [str(one) for one in found.refused] == [
        f"{tmp_path / 'run-0' / 'seed-0' / 'record.json'}: it was retracted: trained on test patients"
    ]
    table = table_of(list(found.records.values()))
    assert list(zip(table["rank"], table["model"], table["exposed patients"], strict=True)) == [
        (1, "b", "not in the record"), ("", "a", "retracted: trained on test patients"),
    ]  # fmt: skip


def test_a_record_that_was_changed_after_its_digest_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "records" / "a.json"
    record("a").sealed().submit(path)
    assert list(gather([tmp_path]).records) == [path]
    path.write_text(path.read_text().replace('"smoke"', '"paper"'))
    assert [str(one) for one in gather([tmp_path]).refused] == [
        f"{path}: the record was changed after its digest was written"
    ]
