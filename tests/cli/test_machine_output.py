"""--json prints JSON alone on standard output; --dry-run says what a run would do, and leaves no trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.plugins.registry import listing

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "runs" / "toy_models.py"


def invoke(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_lists() -> None:
    models, sets, detectors, scores = (invoke(name) for name in ("models", "datasets", "detectors", "metrics"))
    assert [card["name"] for card in models] == list(listing("models").cards)
    assert [card["name"] for card in sets] == list(listing("datasets").cards)
    assert {card["name"] for card in detectors} == set(listing("detectors").cards)
    assert [card["name"] for card in detectors if card["protocol"]] == ["copy", "pixels"]
    assert scores[0]["id"] == "exposed.patients[DETECTOR]"
    assert str(ROOT) not in json.dumps([models, sets, detectors])


def test_what_cannot_be_used_stays_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: Any) -> Any:
        return type(listing(kind))(listing(kind).cards, ("x/card.toml is not a usable card: no name",))

    monkeypatch.setattr("benchmark.plugins.registry.listing", broken)
    done = CliRunner().invoke(app, ["models", "--json"])
    assert json.loads(done.stdout)
    assert done.stderr == "problem: x/card.toml is not a usable card: no name\n"


def test_a_model_and_a_detector_are_shown_with_their_defaults() -> None:
    shown = invoke("models", "show", "copycat")
    assert shown["settings"] == {"contamination": 1.0, "transform": "exact"}
    assert shown["presets"]["smoke"]["samples"] == 1000
    detector = invoke("detectors", "show", "pixels")
    assert detector["options"] == {"channels": [], "foreground": False, "residual": False, "transforms": []}
    assert detector["protocol"] is True
    own = invoke("models", "show", f"{TOYS}:Noise")
    assert own["settings"] == {"size": 32}
    assert invoke("models", "show", "diffusers")["settings"]["path"] == "required"


def test_the_shown_card_as_a_table() -> None:
    done = CliRunner().invoke(app, ["models", "show", f"{TOYS}:Noise"])
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[-5:] == ["name noise", f"summary from {TOYS}", "dimensions 2", "3", "settings size: 32"]


def test_an_unknown_detector_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "detectors", "show", "pixel"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no detector named 'pixel'\n"
        "  hint: did you mean 'pixels'? `bench detectors` lists all; your own: --detector ./file.py:Class\n"
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """20 patients of two images each in images/P*."""
    random = np.random.default_rng(0)
    for patient in range(20):
        folder = tmp_path / "images" / f"P{patient}"
        folder.mkdir(parents=True)
        for image in range(2):
            Image.fromarray(random.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / f"{image}.png")
    return tmp_path


PLACE = ("--root", "images", "--image-size", "32", "--cache", "cache")
RUN = ("run", "--model", f"{TOYS}:Noise", "--data", "folder", "--samples", "100", *PLACE)
Bench = Callable[..., "subprocess.CompletedProcess[str]"]


def plan(bench: Bench) -> dict[str, Any]:
    done = bench(*RUN, "--dry-run", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.slow
def test_a_dry_run_before_and_after_the_run(bench: Bench, place: Path) -> None:
    first = plan(bench)
    assert {path.name for path in place.iterdir()} == {"images"}  # nothing was written
    assert first["model"] == "noise"
    assert first["settings"] == {"size": 32}
    assert first["cohort"] == "not prepared: 40 files of 20 patients in images"
    assert first["power"] == (
        "about: 100 samples can show 5 exposed patients, or a share of 9.0 %, with 95 % power; fewer copies may stay "
        "unseen"
    )
    assert first["stages"] == dict.fromkeys(("prepare", "fit", "sample", "evaluate"), "to do")
    assert first["folder"] is None

    done = bench(*RUN, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["headline"].startswith(("CANNOT TELL: ", "NOTHING FOUND: ", "REFUSED: "))
    assert json.loads((place / result["folder"] / "record.json").read_text()) == result["record"]
    before = {path: path.stat().st_mtime_ns for path in sorted(place.rglob("*"))}

    again = plan(bench)
    assert {path: path.stat().st_mtime_ns for path in sorted(place.rglob("*"))} == before
    assert again["stages"] == dict.fromkeys(("prepare", "fit", "sample", "evaluate"), "cached")
    assert again["folder"] == result["folder"]
    counts = [f"{name} {result['record']['cohort']['items'][name]} items" for name in ("train", "calibration", "test")]
    assert again["cohort"].startswith(f"prepared, key {result['record']['cohort']['key'][:8]}: {counts[0]} / ")
    assert all(count in again["cohort"] for count in counts)
    assert not again["power"].startswith("about")
    table = bench(*RUN, "--seed", "1", "--dry-run")
    lines = [" ".join(line.split()) for line in table.stdout.splitlines()]
    assert "model noise (smoke, seed 1)" in lines
    states = [line for line in lines if line.startswith("stage ")]
    assert states == ["stage prepare cached", "stage fit to do", "stage sample to do", "stage evaluate to do"]

    evaluated = bench("evaluate", result["folder"], "--json")
    assert json.loads(evaluated.stdout)["record"]["scores"] == result["record"]["scores"]


def test_a_data_set_that_is_simulated_first_is_not_simulated_by_a_dry_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", "--model", "copycat", "--data", "phantom-mr", "--dry-run", "--json",
         "--cache", "cache"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert shown["cohort"] == "not prepared: its files are written when it runs"
    assert shown["power"] == "known once the data set is read"
    assert list(tmp_path.iterdir()) == []


def test_a_check_of_a_cohort_split_by_images(bench: Bench, place: Path) -> None:
    """Two class folders are two patients at most: only images can be split."""
    for patient in range(20):
        folder = place / "images" / f"P{patient}"
        for image in range(2):
            (place / "images" / f"class{patient % 2}").mkdir(exist_ok=True)
            (folder / f"{image}.png").rename(place / "images" / f"class{patient % 2}" / f"{patient}-{image}.png")
        folder.rmdir()
    check = ("datasets", "check", "folder", "--group-pattern", "folder", "--json", *PLACE)
    done = bench(*check, "--split", "images")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["items"], report["patients"], report["ok"]) == (40, 2, True)
    assert report["splits"] == {"train": [20, 20], "calibration": [12, 12], "test": [8, 8]}
    assert json.loads((place / report["files"]["check"]).read_text())["splits"] == report["splits"]
    by_patient = bench(*check)
    assert (by_patient.returncode, by_patient.stdout) == (4, "")
