"""A text-to-image model through `bench run`, on images with reports in the layout of MIMIC-CXR."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from canaries import leaks
from conftest import Bench, films
from PIL import Image
from pixels import pixel_leaks, pixels_of

PATIENTS = 30
TOYS = Path(__file__).parent / "toy_models.py"


@pytest.fixture
def mimic(tmp_path: Path) -> Path:
    """30 patients with two films and two reports of secret words each."""
    return written(tmp_path / "mimic")


def written(root: Path, *, telling: bool = False, silent: bool = False) -> Path:
    """Write the patients; reports that are `telling` hold the film's grey levels at 8 x 8 places."""
    rows = []
    for patient in range(PATIENTS):
        for number, picture in enumerate(films(patient)):
            subject, study = f"1{patient:07d}", f"5{patient:06d}{number}"
            folder = root / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}"
            folder.mkdir(parents=True)
            Image.fromarray(picture).save(folder / f"i{study}.jpg")
            mark = "___ " if patient % 3 == 0 else ""
            text = f"FINDINGS: {mark}secretword{patient} opacity\n\n number{number} seen"
            if telling:
                text = "FINDINGS: " + " ".join(str(level) for level in picture[3::6, 3::6].ravel())
            if not silent:
                folder.with_suffix(".txt").write_text(text)
            rows.append(f"i{study},{subject},{study},PA\n")
    with gzip.open(root / "mimic-cxr-2.0.0-metadata.csv.gz", "wt") as table:
        table.write("dicom_id,subject_id,study_id,ViewPosition\n" + "".join(rows))
    return root


def test_reports_guide_and_stay_private(bench: Bench, mimic: Path, tmp_path: Path) -> None:
    common = ("--model", "ldm-text", "--data", "mimic-cxr", "--root", mimic, "--image-size", 32, "--samples", 12)
    short = [part for name in ("vae_steps", "steps") for part in ("--set", f"{name}=5")]
    done = bench("run", *common, *short, "--set", "sampling_steps=2")
    assert done.returncode == 0, done.stderr
    assert "prompts AUC" in done.stdout
    (folder,) = (tmp_path / "runs").glob("mimic-cxr/*/seed-0")
    record = (folder / "record.json").read_text()
    assert (folder / "figures" / "prompts.png").stat().st_size > 1000
    scores = json.loads(record)["scores"]
    assert scores["prompts.auc[first]"]["n"] > 40
    assert scores["prompts.marks[first]"]["value"] is not None
    board = bench("leaderboard", "build", "--runs", tmp_path / "runs", "--out", tmp_path / "board")
    assert board.returncode == 0, board.stderr
    tables = "".join(path.read_text(errors="replace") for path in (tmp_path / "board").rglob("*") if path.is_file())
    assert "prompts AUC" in tables
    public = done.stdout + done.stderr + record + (folder / "run.toml").read_text() + board.stdout + tables
    assert "secretword" not in public
    known = pixels_of([film for patient in range(PATIENTS) for film in films(patient)])
    shown = [folder / "record.json", folder / "summary.html", *(tmp_path / "board").rglob("*")]
    for path in (one for one in shown if one.is_file()):
        assert leaks(path.read_bytes(), ("secretword", "number0 seen", "p1000000", "s5000", "i5000")) == set(), path
        assert pixel_leaks(path.read_bytes(), known) == set(), path
    scored = bench("prompts", folder, "--prompts", prompts(tmp_path), "--column", "report", "--steps", 2, "--seeds", 1)
    assert scored.returncode == 0, scored.stderr
    assert "secretword" not in scored.stdout + scored.stderr


def prompts(folder: Path) -> Path:
    path = folder / "prompts.csv"
    path.write_text("report\nsecretword1 opacity\nsecretword2 ___\n")
    return path


def test_classes_guide_where_there_are_no_reports(run: Bench, tmp_path: Path) -> None:
    done = run(
        "--samples", 8, "--set", "vae_steps=3", "--set", "steps=3", "--set", "sampling_steps=2", model="ldm-text"
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").glob("*/*/seed-0/record.json")
    assert json.loads(path.read_text())["scores"]["prompts.auc[first]"]["reason"] == (
        "2 and 0 different captions in train and held-out, 20 are needed"
    )


# What a caption tells is no copy


@pytest.mark.parametrize(("copies", "low"), [(0.0, 0), (1.0, 1)])
def test_images_that_follow_the_caption_are_no_copies(bench: Bench, tmp_path: Path, copies: float, low: int) -> None:
    root = written(tmp_path / "mimic", telling=True)
    model = ("--model", f"{TOYS}:Told", "--set", f"copies={copies}", "--data", "mimic-cxr", "--root", root)
    done = bench("run", *model, "--image-size", 32, "--samples", 60)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").glob("mimic-cxr/*/seed-0")
    scores = json.loads((folder / "record.json").read_text())["scores"]
    table = pd.read_parquet(folder / "samples" / "prompts.parquet")
    members = pd.read_parquet(folder / "members.parquet")
    asked = members.iloc[table["row"]]
    assert ((asked["split"] == "train").to_numpy() == (table["side"] == "train").to_numpy()).all()
    counts = asked.groupby(["subject"]).size()
    sides = asked.assign(train=asked["split"] == "train").groupby("subject")["train"].first()
    assert sides.sum() == (~sides).sum() == scores["exposed.patients[pixels]"]["n"]
    assert counts.max() - counts.min() <= 1
    for detector in ("copy", "pixels"):
        assert min(1, scores[f"exposed.patients[{detector}]"]["low"]) == low
        own = scores[f"prompted.own[{detector}]"]
        assert own["low"] <= own["value"] <= own["high"]
    assert f"prompts: captions of {sides.sum()} training and {sides.sum()} held-out patients" in done.stderr
    assert f"60 samples can show {scores['detectable.patients']['value']:.0f} exposed patients" in done.stderr


def test_a_data_set_without_reports_is_refused_before_training(bench: Bench, tmp_path: Path) -> None:
    root = written(tmp_path / "mimic", silent=True)
    done = bench("run", "--model", "ldm-text", "--data", "mimic-cxr", "--root", root, "--image-size", 32)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "no training item of" in done.stderr
    assert not list((tmp_path / "runs").glob("*/*/seed-0"))
