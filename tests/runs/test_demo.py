"""`bench demo`: few simulated patients, and the audit that ordinary folders get."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli import demo as command
from benchmark.cli.app import app
from benchmark.core.errors import BenchError, MachineError, UsageError
from benchmark.evaluation import suspects
from benchmark.runs import demo
from benchmark.runs.demo import ALTERED, Copy, altered, named_copies, require_new, write_folders

PATIENTS, COPIES = 24, 10
Demo = Callable[..., Any]


@pytest.fixture(scope="module")
def small() -> Iterator[Demo]:
    """Call `bench demo` in this process, with 24 patients per folder and few alignments of suspects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "PATIENTS", PATIENTS)
        patch.setattr(demo, "COPIES", COPIES)
        patch.setattr(suspects, "ALIGNED", 6)
        yield lambda *arguments: CliRunner().invoke(app, ["demo", *map(str, arguments)], prog_name="bench")


@pytest.fixture(scope="module")
def shown(small: Demo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a demonstration, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "made"
    return folder, small("--out", folder, "--no-open")


def test_every_planted_copy_is_named(shown: tuple[Path, Any]) -> None:
    folder, ended = shown
    copies = pd.read_csv(folder / "copies.csv", dtype=str)
    listed = pd.read_csv(folder / "audit" / "withhold.csv", dtype=str).set_index("file")["train_file"]
    assert ended.exit_code == 0, ended.output
    assert len(copies) == COPIES
    assert set(copies["alteration"]) == set(ALTERED)
    assert list(listed[copies["file"]]) == list(copies["train_file"])


def test_the_last_lines_tell_what_was_planted_and_named(shown: tuple[Path, Any]) -> None:
    folder, ended = shown
    others = len(pd.read_csv(folder / "audit" / "withhold.csv")) - COPIES
    verdict, *told = ended.stdout.splitlines()[-12:]
    assert verdict.startswith("HOLD: ")
    assert told == [
        "",
        "planted:      10 of the 24 synthetic images are copies of training images",
        "named:        10 of 10: exact 2/2, flipped 2/2, rotated 2/2, darker 2/2, blurred 2/2",
        f"others named: {others}{' (chance makes some images alike)' if others else ''}",
        "exit code:    10: copies were found; the demo itself ends with 0",
        f"images:       {folder}",
        f"report:       {folder / 'audit' / 'report.html'}",
        "              (it says that it shows patients: here all of them are simulated)",
        "",
        "The same with your own folders:",
        "  bench audit --train TRAIN --heldout HELDOUT --synthetic SYNTHETIC",
    ]


def test_the_folders_are_there_to_look_at(shown: tuple[Path, Any]) -> None:
    folder, _ = shown
    names = {path.name for path in folder.iterdir()}
    assert names == {"train", "heldout", "synthetic", "copies.csv", "audit", "cache", ".gitignore", "PRIVATE.txt"}
    counts = {name: len(list((folder / name).iterdir())) for name in ("train", "heldout", "synthetic")}
    assert counts == {"train": 2 * PATIENTS, "heldout": 2 * PATIENTS, "synthetic": PATIENTS}
    image = Image.open(folder / "train" / "P001_1.png")
    assert (image.size, image.mode) == ((176, 208), "L")
    exact = pd.read_csv(folder / "copies.csv").query("alteration == 'exact'").iloc[0]
    images = [
        np.asarray(Image.open(folder / place)) for place in (f"synthetic/{exact.file}", f"train/{exact.train_file}")
    ]
    assert np.array_equal(*images)


def test_json_alone_and_the_exit_code_where_no_copies_were_found(
    small: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "COPIES", 0)
    ended = small("--out", tmp_path / "made", "--json", "--seed", 1)
    answer = json.loads(ended.stdout)
    assert answer["verdict"]["kind"] != "hold"
    assert answer["demo"] == {
        "planted": 0, "named": 0, "others": answer["verdict"]["suspects"], "by_alteration": {},
        "audit_exit_code": answer["verdict"]["exit_code"],
    }  # fmt: skip
    assert ended.exit_code == 1


def test_a_copy_listed_with_another_training_image_is_not_named() -> None:
    copies = [Copy("1.png", "a.png", "exact"), Copy("2.png", "b.png", "exact"), Copy("3.png", "c.png", "flipped")]
    listed = pd.DataFrame({"file": ["1.png", "2.png", "9.png"], "train_file": ["a.png", "x.png", "c.png"]})
    named = named_copies(copies, listed)
    assert (named.planted, named.named, named.others) == ({"exact": 2, "flipped": 1}, {"exact": 1}, 1)


def test_alterations_do_what_their_names_say() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 32)).astype(np.uint8)
    made = {name: altered(image, name) for name in ALTERED}
    assert np.array_equal(made["exact"], image)
    assert np.array_equal(made["flipped"], image[:, ::-1])
    assert made["darker"].mean() < image.mean() - 10
    assert made["blurred"].std() < 0.6 * image.std()
    assert abs(int(made["rotated"][20, 16]) - int(image[20, 16])) < 60
    assert not np.array_equal(made["rotated"], image)


def message(error: type[BenchError], call: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    hint = "\n  hint: give a new folder: --out FOLDER"
    assert message(UsageError, lambda: require_new(tmp_path)) == f"--out {tmp_path} is not empty{hint}"
    file = tmp_path / "notes.txt"
    assert message(UsageError, lambda: require_new(file)) == f"--out {file} is no folder{hint}"
    (tmp_path / "empty").mkdir()
    require_new(tmp_path / "empty")
    require_new(tmp_path / "new")


def test_an_existing_folder_is_left_as_it_is(small: Demo, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ended = small("--out", tmp_path)
    assert isinstance(ended.exception, UsageError)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(demo, "simulated", lambda _: pytest.fail("patients were simulated"))
    out = tmp_path / "made"
    assert message(MachineError, lambda: write_folders(out, 0)) == (
        f"{out} may not be written: Permission denied\n  hint: choose another folder, or its permissions"
    )


@pytest.mark.parametrize(
    ("terminal", "screen", "opened"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_browser_opens_only_from_a_terminal_with_a_screen(
    terminal: bool, screen: bool, opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda page: not pages.append(page))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setitem(os.environ, "WAYLAND_DISPLAY", "wayland-0")
    assert command._opened(tmp_path / "a b.html") is opened
    assert pages == ([(tmp_path / "a b.html").as_uri()] if opened else [])


def test_every_exit_code_of_an_audit_has_a_meaning() -> None:
    from benchmark.evaluation import verdict

    codes = {verdict.CLEAR, verdict.COPIES, verdict.CANNOT_TELL, verdict.TOO_WEAK, verdict.ABOVE}
    assert set(command.MEANINGS) == codes
    assert verdict.COPIES == command.COPIES
