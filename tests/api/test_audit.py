"""`mb.audit`: the numbers of the command line, from arrays; nothing is written that was not asked for."""

from __future__ import annotations

import csv
import gc
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import memobench as mb
from benchmark.api.patients import EACH
from benchmark.runs.audit import AuditConfig, audit
from benchmark.runs.audit_files import summary, withhold_list

from .conftest import SIDE, Sets, film, make_sets

FAST = "pixels:transforms=flips,rotations,shifts,scales"


def write(sets: Sets, folder: Path, ending: str) -> dict[str, Path]:
    """Write three folders and a table of patients, as a user of the command line has them."""
    rows = []
    for side in ("train", "heldout", "synthetic"):
        (folder / side).mkdir(parents=True)
        for number, image in enumerate(getattr(sets, side)):
            name = f"{side[0]}{number:04d}{ending}"
            if ending == ".png":
                Image.fromarray(image).save(folder / side / name)
            else:
                np.save(folder / side / name, image)
            if side in sets.patients:
                rows.append((name, sets.patients[side][number]))
    with (folder / "patients.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "patient"), *rows])
    return {side: folder / side for side in ("train", "heldout", "synthetic")}


def of_command_line(sets: Sets, folder: Path, ending: str = ".png", **settings: Any) -> Any:
    """The audit of the same images as files, by the function behind `bench audit`."""
    options = settings.pop("options", {}) | {"table": str(folder / "patients.csv")}
    places = write(sets, folder, ending)
    return audit(AuditConfig(**places, options=options, cache=folder / "cache", **settings), log=lambda text: None)


@pytest.fixture(scope="module")
def result(sets: Sets) -> mb.AuditResult:
    """The audit of arrays with 8 copies, both passes."""
    return mb.audit(sets.train, sets.heldout, sets.synthetic, patients=sets.patients, quiet=True)


@pytest.fixture(scope="module")
def by_folders(sets: Sets, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return of_command_line(sets, tmp_path_factory.mktemp("folders"))


def test_every_number_is_that_of_the_command_line(result: mb.AuditResult, by_folders: Any) -> None:
    expected = summary(by_folders)
    assert len(expected["scores"]) > 100
    assert dict(result.summary) == expected
    listed = withhold_list(by_folders)
    assert len(listed) >= 8
    columns = ["patient", "detector", "similarity", "full_size", "reason", "confidence"]
    pd.testing.assert_frame_equal(result.suspects[columns], listed[columns], check_exact=True)
    assert [f"s{number:04d}.png" for number in result.suspects["index"]] == list(listed["file"])
    assert [f"t{number:04d}.png" for number in result.suspects["train_index"]] == list(listed["train_file"])


def test_the_answer(result: mb.AuditResult, sets: Sets) -> None:
    assert result.exit_code == result.verdict.exit_code == 10
    assert str(result.verdict).startswith("HOLD: ")
    assert "transforms=" not in result.verdict.sentence
    certain = result.suspects[result.suspects["confidence"] == "near-certain"]
    assert dict(zip(certain["index"], certain["train_index"], strict=True)) == sets.copied
    entry = max(
        (result.summary["scores"][f"exposed.items[{name}]"] for name in (FAST, "copy")), key=lambda one: one["low"]
    )
    assert result.exposed == (entry["value"], entry["low"], entry["high"])
    assert result.exposed.low is not None
    assert result.exposed.low <= 8 / 40 <= (result.exposed.high or 0)
    assert result.exposed_patients.value is not None
    assert result.exposed_patients.value >= 7
    assert result.not_compared == ()
    assert any("48 training images of 24 patients" in note for note in result.notes)
    assert not any("not on this disk" in note for note in result.notes)
    assert list(result.scores.columns) == ["score", "value", "low", "high", "n", "reason"]
    assert len(result.scores) == len(result.summary["scores"])


def test_pages_and_tables(result: mb.AuditResult, tmp_path: Path) -> None:
    page = result.to_html(tmp_path / "report.html")
    assert "synthetic-000000.npy" in page.read_text(encoding="utf-8")
    assert json.loads(result.to_json(tmp_path / "s.json")) == json.loads((tmp_path / "s.json").read_text())
    latex = result.to_latex(tmp_path / "t.tex")
    assert (tmp_path / "t.tex").read_text() == latex
    assert latex.count("\\\\") == 1 + 3  # the head, and a row per detector
    assert "\\toprule" in latex
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "s.json", "t.tex"}


def test_what_a_notebook_shows_by_itself_holds_no_image_and_no_patient(result: mb.AuditResult) -> None:
    html = result._repr_html_()
    assert "<strong>HOLD</strong>" in html
    assert "<img" not in html
    assert not {f"P{number}<" for number in range(48) if f"P{number}<" in html}
    assert repr(result) == f"<AuditResult {result.verdict}>"


def test_a_figure_of_the_first_suspects(result: mb.AuditResult) -> None:
    figure = result.show(2)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 2 * 3
    fixed, moved, difference = (axis.get_images()[0].get_array() for axis in figure.axes[:3])
    assert np.corrcoef(np.ravel(fixed), np.ravel(moved))[0, 1] > 0.99
    np.testing.assert_allclose(difference, fixed - moved)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_saved_audit_is_loaded(result: mb.AuditResult, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "out")
    loaded = mb.load(folder)
    assert loaded.verdict == result.verdict
    assert loaded.exposed == result.exposed
    assert len(loaded.suspects) == len(result.suspects)
    assert str(loaded.suspects["file"].iloc[0]).startswith("synthetic-")
    assert loaded.to_html(tmp_path).read_bytes() == (folder / "report.html").read_bytes()
    assert mb.load(folder / "summary.json").exit_code == 10
    with pytest.raises(mb.UsageError) as refused:
        loaded.show()
    assert str(refused.value) == (
        "show() needs the images, and this result has numbers only\n  hint: call audit or run again"
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(mb.UsageError, match="holds other files"):
        result.save(tmp_path / "mine")


def test_folders_are_the_command_line(sets: Sets, tmp_path: Path) -> None:
    fast = summary(of_command_line(sets, tmp_path, quick=True))["scores"]
    places = {side: tmp_path / side for side in ("train", "heldout", "synthetic")}
    table = tmp_path / "patients.csv"
    result = mb.audit(**places, patients=table, cache=tmp_path / "cache", quick=True, quiet=True)
    by_name = mb.audit(
        str(places["train"]), places["heldout"], sets.synthetic, patients=table, cache=tmp_path / "cache", quick=True,
        quiet=True,
    )  # fmt: skip
    for one in (result, by_name):
        assert one.summary["scores"] == fast
    assert list(result.suspects["file"].str[0].unique()) == ["s"]
    assert list(result.suspects["train_file"].str[0].unique()) == ["t"]
    assert list(by_name.suspects["index"])[:1] == [int(result.suspects["file"].iloc[0][1:5])]
    assert (tmp_path / "cache" / "cohorts").is_dir()


def quick(sets: Sets, **settings: Any) -> mb.AuditResult:
    return mb.audit(sets.train, sets.heldout, sets.synthetic, quick=True, quiet=True, **settings)


def test_a_stated_range_is_the_window(sets: Sets, tmp_path: Path) -> None:
    unit = Sets(*(np.float32(part / 255) for part in (sets.train, sets.heldout, sets.synthetic)), sets.patients, {})
    expected = of_command_line(unit, tmp_path, ".npy", quick=True, options={"window": "0,1"})
    result = quick(unit, patients=sets.patients, value_range=(0, 1))
    assert dict(result.summary["scores"]) == summary(expected)["scores"]


def test_volumes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(count, 10, 12, 14)).cumsum(axis=1).astype(np.float32) for count in (12, 12, 12)]
    parts[2][:3] = parts[0][:3]
    ids = {"train": [f"P{n}" for n in range(12)], "heldout": [f"Q{n}" for n in range(12)]}
    volumes = Sets(*parts, ids, {})
    expected = of_command_line(volumes, tmp_path, ".npy", quick=True)
    result = quick(volumes, patients=ids, layout="NDHW")
    assert dict(result.summary["scores"]) == summary(expected)["scores"]
    assert result.summary["compared"]["shape"] == [1, 16, 16, 16]
    assert list(result.suspects["train_index"])[:3] == list(result.suspects["index"])[:3]
    with pytest.raises(mb.UsageError, match=r"train\[0\] has shape \(10, 12, 14\), and no axis that can only be"):
        quick(volumes)


def test_without_patients_each_image_is_one_and_this_is_said(sets: Sets, capsys: pytest.CaptureFixture[str]) -> None:
    result = mb.audit(sets.train[::2], sets.heldout[::2], sets.synthetic, quick=True)
    assert result.notes[0] == EACH
    assert EACH in capsys.readouterr().err
    assert result.summary["compared"]["patients"]["train"] == 24
    assert list(result.suspects["patient"]) == list(result.suspects["train_index"])


def test_without_held_out_images(sets: Sets) -> None:
    result = mb.audit(sets.train, synthetic=sets.synthetic, patients=sets.patients["train"], quick=True, quiet=True)
    assert result.exit_code == 10
    assert set(result.suspects["index"]) == set(sets.copied)
    assert result.exposed.value is None


def test_an_image_that_cannot_be_compared_is_no_all_clear(sets: Sets) -> None:
    synthetic = sets.synthetic.astype(np.float32)
    synthetic[30] = np.nan
    given = Sets(np.float32(sets.train), np.float32(sets.heldout), synthetic, sets.patients, {})
    result = quick(given, patients=sets.patients)
    assert result.not_compared == (30,)
    assert 30 not in set(result.suspects["index"])
    result = mb.audit(
        given.train, given.heldout, [film(p) for p in range(100, 130)] + [np.full((SIDE, SIDE), 7, np.uint8)],
        patients=sets.patients, quick=True, quiet=True, must_see=1,
    )  # fmt: skip
    assert result.exit_code == 11
    assert result.not_compared == (30,)


def test_nothing_is_written_but_what_was_asked_for(sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    result = quick(sets, patients=sets.patients)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "temporary").iterdir()] == [0o700]
    result.show(1)
    result.to_html(tmp_path / "work" / "report.html")
    mb.search(sets.synthetic, sets.train)
    mb.plant(sets.train, count=2)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["report.html"]
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del result
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"work", "temporary"}


def test_a_refused_question_leaves_nothing_behind(sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(mb.UsageError) as refused:
        quick(sets, patients=[1])
    assert list(tmp_path.iterdir()) == []  # while the traceback still holds everything
    assert "patients= does not give the ids" in str(refused.value)


def test_a_cache_that_was_asked_for_is_used_again(sets: Sets, tmp_path: Path) -> None:
    given = make_sets(0)
    first = quick(given, patients=given.patients, cache=tmp_path / "cache")
    again = quick(given, patients=given.patients, cache=tmp_path / "cache")
    assert any("audit: prepared" in note for note in first.notes)
    assert any("audit: cached" in note for note in again.notes)
    assert again.summary == first.summary
    other = quick(sets, patients=sets.patients, cache=tmp_path / "cache")
    assert any("synthetic: prepared" in note for note in other.notes)  # as many images of one size, but others
    assert other.exit_code == 10


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"must_see": 0}, "must_see= 0 is no share of images\n  hint: give more than 0 and at most 1"),
        ({"fail_above": 2}, "fail_above= 2 is no share of images\n  hint: give 0 to 1"),
        ({"device": "tpu"}, "there is no device called 'tpu'\n  hint: use auto, cpu, cuda or cuda:N"),
        (
            {"options": {"windw": "0,1"}},
            None,
        ),
        (
            {"value_range": (0, 255), "options": {"window": "0,1"}},
            "value_range and options={'window': ...} were both given\n  hint: give one of them",
        ),
    ],
)
def test_wrong_questions_in_the_words_of_python(sets: Sets, settings: dict[str, Any], told: str | None) -> None:
    with pytest.raises(mb.UsageError) as refused:
        quick(sets, patients=sets.patients, **settings)
    if told is None:
        assert "--" not in str(refused.value)
        assert "windw" in str(refused.value)
    else:
        assert str(refused.value) == told


def test_sets_on_different_scales_are_refused(sets: Sets) -> None:
    with pytest.raises(mb.UsageError, match=r"^train \(uint8\) has values of about .*: they are not on one scale"):
        mb.audit(sets.train, sets.heldout, np.float32(sets.synthetic / 255), patients=sets.patients)


def test_a_question_without_synthetic_images(sets: Sets) -> None:
    with pytest.raises(mb.UsageError) as refused:
        mb.audit(sets.train, sets.heldout)
    assert str(refused.value) == (
        "training images or synthetic images are missing\n  hint: call audit(train, heldout, synthetic)"
    )


def test_suspects_are_a_table(result: mb.AuditResult) -> None:
    assert isinstance(result.suspects, pd.DataFrame)
    assert list(result.suspects.columns) == [
        "index", "train_index", "patient", "detector", "similarity", "full_size", "reason", "confidence",
    ]  # fmt: skip
