"""`bench audit` where only a part of a training image was copied into another patient's image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from .conftest import Bench, films

PASTED = 8
BOX = slice(14, 38)
"""A quarter of an image of 48 x 48 pixels."""


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A film of each of 40 training, 40 held-out and 60 other patients, the first 8 of these with a part of another."""
    for side, patients in (("train", range(40)), ("heldout", range(40, 80)), ("synthetic", range(80, 140))):
        (tmp_path / side).mkdir()
        for number, patient in enumerate(patients):
            film = films(patient)[0].copy()
            if side == "synthetic" and number < PASTED:
                film[BOX, BOX] = films(number)[0][BOX, BOX]
            Image.fromarray(film).save(tmp_path / side / f"P{patient:03d}.png")
    return tmp_path


def test_parts_that_were_copied_are_found_and_listed_with_their_patient(folders: Path, bench: Bench) -> None:
    sides = ("--train", "train", "--heldout", "heldout", "--synthetic", "synthetic", "--patients", "each-file")
    ended = bench("audit", *sides, "--out", "out")
    assert ended.returncode == 10, ended.stdout + ended.stderr
    assert "local: " in ended.stdout.splitlines()[-1]
    listed = pd.read_csv(folders / "out" / "withhold.csv")
    by_parts = listed[listed["detector"] == "local"]
    pasted = {f"P{80 + number:03d}.png": f"P{number:03d}.png" for number in range(PASTED)}
    assert dict(zip(by_parts["file"], by_parts["train_file"], strict=True)).items() >= pasted.items()
    scores = json.loads((folders / "out" / "summary.json").read_text())["scores"]
    recalls = {name: scores[f"detector.recall.local25[{name}]"]["value"] for name in ("local", "copy")}
    assert recalls["local"] > 0.8 > recalls["copy"]
    assert np.isfinite(scores["detector.recall_headline.local16[local]"]["value"])
