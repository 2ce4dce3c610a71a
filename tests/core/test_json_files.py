"""JSON files of ours that others have changed: each kind of change is one sentence, and nothing waits for ever."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cohorts.store import FINISHED, open_stored
from benchmark.core.content_digests import file_digests
from benchmark.core.errors import BadDataError, DamagedError, UsageError
from benchmark.core.files import read_json, require_layout
from benchmark.core.sealed import is_intact, read_sealed_json, seal, write_sealed_json
from benchmark.runs.results import PARTS, read_results

NOT_JSON = "{path} is not readable JSON: Expecting value: line 1 column 1 (char 0)"
NO_FILE = "{path} is not a file but a folder, a pipe or a device"


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink(missing_ok=True)
    make(path)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), NOT_JSON),
    "cut": (lambda path: path.write_text('{"a": 1, "b'), "{path} is not readable JSON: Unterminated string"),
    "a list": (lambda path: path.write_text("[]"), "{path} does not hold an object of JSON but list"),
    "a number": (lambda path: path.write_text("1"), "{path} does not hold an object of JSON but int"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe"), "{path} is not readable JSON: 'utf-8' codec"),
    "brackets": (lambda path: path.write_text("[" * 200_000), "{path} is not readable JSON: "),
    "a folder": (lambda path: path.mkdir(), NO_FILE),
    "a pipe": (os.mkfifo, NO_FILE),
    "a device": (lambda path: path.symlink_to("/dev/zero"), NO_FILE),
    "a link to itself": (lambda path: path.symlink_to(path.name), "{path} cannot be read: Too many levels"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "{path} cannot be read: No such file"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_a_digest_is_one_sentence(tmp_path: Path, kind: str) -> None:
    make, message = KINDS[kind]
    replace(path := tmp_path / "file.json", make)
    with pytest.raises(BadDataError) as refused:
        read_json(path, dict)
    assert refused.value.message.startswith(message.format(path=path))
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_a_digest_is_one_sentence(tmp_path: Path, kind: str) -> None:
    write_sealed_json(path := tmp_path / "file.json", {"a": 1})
    replace(path, KINDS[kind][0])
    assert not is_intact(path)
    with pytest.raises(DamagedError) as refused:
        read_sealed_json(path, "do it again", dict)
    assert refused.value.message.startswith(str(path))
    assert refused.value.hint == "do it again"


@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_of_another_kind_is_none(tmp_path: Path, kind: str) -> None:
    write_sealed_json(path := tmp_path / "file.json", {"a": 1})
    replace(tmp_path / ".file.json.seal", KINDS[kind][0])
    assert not is_intact(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mark_of_a_cache(tmp_path: Path, kind: str) -> None:
    require_layout(tmp_path / "cache", "cache", ("cohorts",))
    replace(tmp_path / "cache" / "layout.json", KINDS[kind][0])
    if kind.startswith("a link"):  # as if it were not there: an empty cache is marked again
        require_layout(tmp_path / "cache", "cache", ("cohorts",))
        return
    with pytest.raises((UsageError, BadDataError)) as refused:
        require_layout(tmp_path / "cache", "cache", ("cohorts",))
    assert str(tmp_path / "cache") in refused.value.message


RESULTS: dict[str, Any] = {part: {} for part in PARTS} | {
    "scores": {"exposed.patients[copy]": {"value": 0.3, "low": 0.2, "high": 0.4, "n": 60, "direction": "lower"}},
    "engines": {"copy": "exact"}, "curves": {"exposed.patients[copy]": []},
}  # fmt: skip


def test_results_are_read(tmp_path: Path) -> None:
    write_sealed_json(path := tmp_path / "evaluation.json", RESULTS)
    assert read_results(path) == RESULTS


@pytest.mark.parametrize(("change", "what"), [
    *(({part: value}, part) for part in PARTS for value in ([], None, 1)),
    ({"scores": {"a": 0.3}}, "a: record: Input should be"),
    ({"scores": {"a": {"value": "0.3"}}}, "a: value: "),
    ({"scores": {"a": {"value": 0.9, "low": 0.2, "high": 0.4}}}, "a: record: "),
    ({"curves": {}}, "the curve of the detector copy"),
])  # fmt: skip
def test_results_of_another_shape_are_one_sentence(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    write_sealed_json(path := tmp_path / "evaluation.json", RESULTS | change)
    with pytest.raises(BadDataError) as refused:
        read_results(path)
    assert refused.value.message.startswith(f"{path} does not hold what an evaluation leaves: {what}")
    assert refused.value.hint == f"evaluate the run again: bench evaluate {tmp_path}"


@pytest.mark.parametrize("content", [[], {"a": 1}, {"a": []}, {"a": ["x"]}])
def test_remembered_digests_of_another_shape_are_read_again(tmp_path: Path, content: Any) -> None:
    (tmp_path / "image").write_bytes(b"pixels")
    write_sealed_json(kept := tmp_path / "kept.json", content)
    (digest,) = file_digests([tmp_path / "image"], kept=kept).values()
    assert len(digest) == 64


@pytest.mark.parametrize("facts", [[], {}, {"bytes": "many"}, {"bytes": 3, "items": 1}])
def test_facts_of_prepared_images_of_another_shape_are_prepared_again(tmp_path: Path, facts: Any) -> None:
    for name in (FINISHED, "items.parquet", "files.parquet"):
        (tmp_path / name).write_text(json.dumps(facts))
        seal(tmp_path / name)
    (tmp_path / "pixels.npy").write_bytes(b"123")
    assert open_stored(tmp_path) is None
