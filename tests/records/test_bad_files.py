"""Files that are no record, and numbers that cannot be: each is refused by name; none hangs or ends in a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from record_values import put, values, written

from benchmark.core.errors import BadDataError
from benchmark.records.collecting import gather
from benchmark.records.reading import LARGEST
from benchmark.records.record import Record


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as error:
        Record.read(path)
    return error.value.message.removeprefix(f"{path} ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not readable JSON: Expecting property name"),
        (b"", "is not readable JSON: Expecting value"),
        (b"[" * 200_000, "is not readable JSON: it has too many levels"),
        (b'{"schema": 1, "schema": 1}', "is not readable JSON: 'schema' is there twice"),
        (b'{"x": "\xff"}', "is not readable JSON: 'utf-8' codec"),
        (b'"' + b"x" * LARGEST + b'"', f"has more than {LARGEST} bytes"),
        (b"{}", "is of record schema None; this version reads schema 1"),
        (b'{"schema": true}', "is of record schema True; this version reads schema 1"),
        (b'{"schema": 1.0}', "is of record schema 1.0; this version reads schema 1"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    assert refusal(path).startswith(reason)


def test_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        assert refusal(tmp_path / name) == "is not a file but a folder, a pipe or a device"
    assert refusal(tmp_path / "nothing.json") == "cannot be read: No such file or directory"


@pytest.mark.parametrize("unreadable", ["record.json", "status.json"])
def test_a_file_that_the_system_does_not_let_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    """Permissions do not stop root, whom tests may run as: what they do is simulated."""
    path = tmp_path / "record.json"
    path.write_text("{}")
    exists = os.stat

    def stat(place: Any, *given: Any, **more: Any) -> os.stat_result:
        if Path(str(place)).name == unreadable:
            raise PermissionError(13, "Permission denied")
        return exists(place, *given, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert refusal(path) == "cannot be read: Permission denied"


def test_all_of_them_are_named_and_the_good_one_is_shown(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    written(records, values()).rename(records / "good.json")
    (records / "broken.json").write_text("{")
    (records / "folder.json").mkdir()
    os.mkfifo(records / "pipe.json")
    found = gather([tmp_path])
    assert [path.name for path in found.records] == ["good.json"]
    assert [one.path.name for one in found.refused] == ["broken.json", "folder.json", "pipe.json"]


SHARE = "scores/exposed.items[copy]"
NO_NUMBER = "Input should be a valid number"


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (f"{SHARE}/value", True, NO_NUMBER),
        (f"{SHARE}/value", "0.1", NO_NUMBER),
        (f"{SHARE}/value", 1e300, "outside its interval"),
        (f"{SHARE}/low", -5.0, "exposed.items[copy] is -5, and cannot be outside [0, 1]"),
        (f"{SHARE}/high", 7, "exposed.items[copy] is 7, and cannot be outside [0, 1]"),
        (f"{SHARE}/n", -3, "greater than or equal to 0"),
        (f"{SHARE}/n", 0, "exposed.items[copy] has the n 0, and a value takes 1 at least"),
        (f"{SHARE}/n", 1.0, "Input should be a valid integer"),
        (f"{SHARE}/value", None, "a score without a value needs a reason"),
        (SHARE, {"value": None, "reason": "x", "low": 0.9, "high": 0.1}, "an interval without a value"),
        ("replicates/exposed.items[copy]", [-101.0], "a replicate of exposed.items[copy] is -101"),
        ("replicates/exposed.items[copy]", ["0.1"], NO_NUMBER),
        ("replicates/exposed.items[other]", [0.1], "exposed.items[other] has replicates, and no value"),
        ("spec/samples", 0, "greater than or equal to 1"),
        ("spec/samples", True, "Input should be a valid integer"),
        ("spec/seed", -1, "greater than or equal to 0"),
        ("spec/split", "official", "protocol p2 and the split official: such a record is custom"),
        ("spec/split_seed", 3, "protocol p2 and the split seed 3: such a record is custom"),
        ("spec/trained_on", "unknown", "protocol p2 and unknown training data: such a record is custom"),
        ("spec/settings/steps", float("nan"), "is not a finite number"),
        ("spec/settings/steps", [[[[[[[[1]]]]]]]], "more than 6 levels"),
        ("spec/settings/<b>", 1, "is no name"),
        ("spec/preset", "x" * 1_000_000, "a name of 1000000 characters; at most 200 are shown"),
        ("reason", "a\x1b[31mb", "control characters"),
        ("cohort/patients", {"calibration": 5}, "items and patients need the same splits, and train among them"),
        ("cohort/patients/train", 51, "train has 51 patients, and 50 items"),
        ("cohort/key", "../x", "should match pattern"),
        ("cohort/name", "x" * 300, "at most 64 characters"),
        ("hashes/samples", "/home/anna", "is no digest"),
        ("scores/<img>", {"value": 1.0}, "is no id of a score"),
        ("scores/exposed.items[<b>]", {"value": 1.0}, "is no id of a score"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, place: str, value: Any, reason: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(put(values(), place, value)))
    assert reason in refusal(path)
