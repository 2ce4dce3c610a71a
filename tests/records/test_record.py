"""record.json: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError
from record_values import put, values, written

from benchmark.core.errors import BadDataError
from benchmark.core.types import Score
from benchmark.records.record import PROTOCOL, Record, ScoreEntry, entries


def refusal(folder: Path, given: object) -> str:
    with pytest.raises(BadDataError) as error:
        Record.read(written(folder, given))
    return str(error.value)


def test_round_trip(tmp_path: Path) -> None:
    record = Record.read(written(tmp_path, values()))
    record.write(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == values()
    assert Record.read(tmp_path / "again.json") == record
    assert record.scores["exposed.items[copy]"].high == 0.15
    assert record.replicates["exposed.items[copy]"] == (0.09, 0.1, 0.11)


def test_what_is_optional_has_its_default(tmp_path: Path) -> None:
    given = values()
    for name in ("protocol", "status", "replicates"):
        del given[name]
    for name in ("split", "train_items", "budget_seconds"):
        del given["spec"][name]
    record = Record.read(written(tmp_path, given))
    assert (record.protocol, record.status, record.replicates) == (PROTOCOL, "done", {})
    assert (record.spec.split, record.spec.train_items) == ("patients", None)


@pytest.mark.parametrize("schema", [2, 0, None, "1"])
def test_an_unknown_schema(tmp_path: Path, schema: object) -> None:
    assert refusal(tmp_path, put(values(), "schema", schema)) == (
        f"{tmp_path / 'record.json'} is of record schema {schema!r}; this version reads schema 1\n"
        "  hint: evaluate the run again with this version: bench evaluate RUN"
    )


def test_no_schema(tmp_path: Path) -> None:
    assert "is of record schema None; this version reads schema 1" in refusal(tmp_path, {})


NOT_FINITE = "scores.exposed.items[copy].value: {}"
OUTSIDE = "is outside its interval [0.05, 0.15]"


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("spec/samples", "many", "spec.samples: Input should be a valid integer"),
        ("spec/split", "slices", "spec.split: Input should be 'patients', 'official' or 'images'"),
        ("spec/path", "/home/me", "spec.path: Extra inputs are not permitted"),
        ("patients", ["anna"], "patients: Extra inputs are not permitted"),
        ("status", "stopped", "status: Input should be 'done', 'declined', 'failed' or 'retracted'"),
        ("status", "failed", "record: Value error, a run that was failed needs a reason"),
        (
            "scores/exposed.items[copy]/value",
            0.5,
            f"scores.exposed.items[copy]: Value error, the value 0.5 {OUTSIDE}",
        ),
        (
            "scores/exposed.items[copy]/value",
            0.01,
            f"scores.exposed.items[copy]: Value error, the value 0.01 {OUTSIDE}",
        ),
        (
            "scores/quality.ms_ssim[pixels]/reason",
            "",
            "scores.quality.ms_ssim[pixels]: Value error, a score without a value needs a reason",
        ),
        (
            "scores/exposed.items[copy]/direction",
            "up",
            "scores.exposed.items[copy].direction: Input should be 'lower', 'higher' or 'none'",
        ),
        ("scores/exposed.items[copy]/value", math.nan, NOT_FINITE),
        ("scores/exposed.items[copy]/value", math.inf, NOT_FINITE),
        ("scores/exposed.items[copy]/low", -math.inf, "scores.exposed.items[copy].low: {}"),
        ("replicates/exposed.items[copy]", [0.1, math.nan], "replicates.exposed.items[copy].1: {}"),
        ("cost/fit_seconds", math.nan, "cost.fit_seconds: {}"),
        (
            "scores/exposed.items[copy]/high",
            1.5,
            "record: Value error, exposed.items[copy] is 1.5, and cannot be outside [0, 1]",
        ),
        (
            "scores/exposed.patients[copy]",
            {"value": 11},
            "record: Value error, exposed.patients[copy] is 11, and cannot be outside [0, 10]",
        ),
        (
            "scores/exposed.verbatim[copy]",
            {"value": 101},
            "record: Value error, exposed.verbatim[copy] is 101, and cannot be outside [0, 100]",
        ),
        (
            "scores/copies.tau[pixels]",
            {"value": 1.1},
            "record: Value error, copies.tau[pixels] is 1.1, and cannot be outside [-1, 1]",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, place: str, value: object, reason: str) -> None:
    assert refusal(tmp_path, put(values(), place, value)) == (
        f"{tmp_path / 'record.json'} is not a valid record: {reason.format('Input should be a finite number')}\n"
        "  hint: evaluate the run again"
    )


@pytest.mark.parametrize(
    "place", ["spec", "cohort", "scores", "cost", "environment", "hashes", "spec/model", "cohort/key"]
)
def test_a_missing_field(tmp_path: Path, place: str) -> None:
    given = values()
    *path, last = place.split("/")
    del (given[path[0]] if path else given)[last]
    assert refusal(tmp_path, given) == (
        f"{tmp_path / 'record.json'} is not a valid record: {place.replace('/', '.')}: Field required\n"
        "  hint: evaluate the run again"
    )


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path, values())
    path.write_text(path.read_text()[:100])
    with pytest.raises(BadDataError) as error:
        Record.read(path)
    assert error.value.message.startswith(f"{path} is not readable JSON: ")
    assert error.value.hint == "delete it; the next run writes it again"


@pytest.mark.parametrize("given", [[], "record", 3, None])
def test_a_file_of_something_else(tmp_path: Path, given: object) -> None:
    message = refusal(tmp_path, given)
    assert message.startswith(f"{tmp_path / 'record.json'} is not a valid record: record: ")


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    record = Record.model_validate(values()).model_copy(update={"cost": {"fit_seconds": math.nan}})
    record_path = tmp_path / "record.json"
    record_path.write_text("before")
    with pytest.raises(ValueError):
        record.write(record_path)
    assert record_path.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_record_cannot_be_changed() -> None:
    record = Record.model_validate(values())
    with pytest.raises(ValidationError):
        record.protocol = "p2"


# Scores


def test_scores_become_entries() -> None:
    found = entries({"a": Score(value=0.5, low=0.4, high=0.6, n=3, direction="lower", reason="few patients")})
    assert found == {"a": ScoreEntry(value=0.5, low=0.4, high=0.6, n=3, direction="lower", reason="few patients")}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_no_value_is_never_zero(value: float | None) -> None:
    found = entries({"a": Score(value=value, low=0.1, high=0.2, n=3, direction="higher")})["a"]
    assert (found.value, found.low, found.high) == (None, None, None)
    assert (found.n, found.direction, found.reason) == (3, "higher", "not finite")
    assert entries({"a": Score(value=value, reason="too few")})["a"].reason == "too few"


def test_an_interval_that_is_not_finite_is_left_out_with_the_reason() -> None:
    found = entries({"a": Score(value=0.1, low=math.nan, high=0.2)})["a"]
    assert found.reason


def test_an_interval_may_have_one_end_or_none() -> None:
    assert ScoreEntry(value=0.5, low=0.4).value == 0.5
    assert ScoreEntry(value=0.5).high is None
    assert ScoreEntry(value=0.5, low=0.5, high=0.5).low == 0.5


def test_a_record_of_the_former_protocol_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, {**values(), "protocol": "p1"})
    with pytest.raises(BadDataError) as error:
        Record.read(path)
    assert str(error.value) == (
        f"{path} is of protocol p1, whose headline saw few copies and is no longer used\n"
        "  hint: evaluate its run again: bench evaluate RUN, or for a run of an older version: bench run"
    )
