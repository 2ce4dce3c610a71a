"""`mb.run` and `mb.load`: the run of the command line, and its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import memobench as mb
from benchmark.api.load import _exit_code
from benchmark.evaluation.run_headline import headline
from benchmark.records.record import Record

from .conftest import film


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of each of 40 patients."""
    folder = tmp_path_factory.mktemp("films")
    for patient in range(40):
        for number in range(2):
            Image.fromarray(film(patient, number)).save(folder / f"P{patient:03d}_{number}.png")
    return folder


@pytest.fixture(scope="module")
def result(films: Path, tmp_path_factory: pytest.TempPathFactory) -> mb.RunResult:
    """A run of a model that copies a third of its images."""
    return mb.run(
        {"name": "copycat", "options": {"contamination": 0.3}},
        {"name": "folder", "root": films, "image_size": 24, "options": {"group_pattern": "P[0-9]+"}},
        runs=tmp_path_factory.mktemp("work") / "runs", samples=40, device="cpu", quiet=True,
    )  # fmt: skip


def test_the_result_is_that_of_the_record(result: mb.RunResult) -> None:
    assert result.folder is not None
    record = Record.read(result.folder / "record.json")
    assert str(result.verdict) == headline(record)
    assert result.verdict.kind == "hold"
    assert result.exit_code == 10
    name = max(
        ("copy", "pixels"), key=lambda name: (record.scores[f"exposed.items[{name}]"].low or 0,
                                              record.scores[f"exposed.items[{name}]"].value)
    )  # fmt: skip
    entry = record.scores[f"exposed.items[{name}]"]
    assert result.exposed == (entry.value, entry.low, entry.high)
    assert len(result.suspects) == result.verdict.suspects >= 8
    assert result.suspects["patient"].str.match("P[0-9]+").all()
    assert not {path.name for path in result.folder.parents[3].iterdir()} - {"runs"}


def test_it_is_loaded_from_folder_and_record(result: mb.RunResult, tmp_path: Path) -> None:
    assert result.folder is not None
    loaded = mb.load(result.folder)
    assert loaded.summary == result.summary
    assert mb.load(result.folder / "record.json").summary == result.summary
    alone = tmp_path / "record.json"
    alone.write_bytes((result.folder / "record.json").read_bytes())
    public = mb.load(str(alone))
    assert public.exposed == result.exposed
    assert len(public.suspects) == 0
    assert public.verdict.kind == "hold"
    with pytest.raises(mb.UsageError) as refused:
        public.to_html(tmp_path / "report.html")
    assert str(refused.value) == (
        "to_html() needs the images, and this result has numbers only\n  hint: call audit or run again"
    )
    page = loaded.to_html(tmp_path / "report.html")
    assert "P0" in page.read_text(encoding="utf-8")


def test_a_second_run_reuses_every_stage(result: mb.RunResult, films: Path, capsys: Any) -> None:
    assert result.folder is not None
    again = mb.run(
        "copycat:contamination=0.3",
        {"name": "folder", "root": films, "image_size": 24, "options": {"group_pattern": "P[0-9]+"}},
        runs=result.folder.parents[2], samples=40, device="cpu",
    )  # fmt: skip
    assert again.folder == result.folder
    assert json.dumps(again.summary) == json.dumps(result.summary)
    assert "prepared" not in capsys.readouterr().err


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(mb.UsageError) as refused:
        mb.run("copycat", "phantom-mr", runs=tmp_path / "runs", sample=3)
    assert str(refused.value).startswith("run(): there is no setting 'sample'\n  hint: did you mean 'samples'?")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(mb.MissingDataError) as refused:
        mb.load(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} holds no result\n  hint: give a folder of bench audit, a run folder, or the path of a record.json"
    )


@pytest.mark.parametrize(
    ("kind", "seen", "high", "code"),
    [
        ("HOLD", 0.01, 0.5, 10),
        ("NOTHING FOUND", 0.01, 0.01, 0),
        ("NOTHING FOUND", 0.02, 0.01, 12),
        ("NOTHING FOUND", 0.01, 0.02, 12),
        ("NOTHING FOUND", None, 0.0, 12),
        ("CANNOT TELL", 0.01, 0.0, 11),
        ("REFUSED", 0.01, 0.0, 11),
        ("NOT SCORED", None, None, 11),
    ],
)
def test_exit_codes_of_a_run(kind: str, seen: float | None, high: float | None, code: int) -> None:
    assert _exit_code(kind, seen, {"exposed.items[copy]": {"high": high}}) == code
