"""`bench audit` of synthetic planes and training volumes: no slice of these stays unseen."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from .conftest import Bench, films

SLICES = 8
COMMON = ("audit", "--train", "train", "--heldout", "heldout", "--synthetic", "synthetic", "--quick", "--out", "out")


def volume(patient: int) -> np.ndarray:
    """Eight slices of one patient, 32 x 32 x 8, uint8: each with a texture of its own."""
    planes = [films(1000 * patient + number, size=32)[0] for number in range(SLICES)]
    return np.stack(planes, axis=-1)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Volumes of 20 training and 20 held-out patients; a slice of each of 30 others as synthetic images."""
    for side, patients in (("train", range(20)), ("heldout", range(20, 40))):
        (tmp_path / side).mkdir()
        for patient in patients:
            file = tmp_path / side / f"P{patient:03d}.nii"
            nibabel.save(nibabel.Nifti1Image(volume(patient), np.eye(4)), file)
    (tmp_path / "synthetic").mkdir()
    for number, patient in enumerate(range(40, 70)):
        _write(tmp_path / "synthetic" / f"{number:03d}.png", volume(patient), 3)
    return tmp_path


def _write(path: Path, whole: np.ndarray, slice_number: int) -> None:
    """Write a slice as a radiologist sees it: rows from front to back, columns from right to left."""
    Image.fromarray(np.ascontiguousarray(np.flip(whole[:, :, slice_number]).T)).save(path)


@pytest.mark.parametrize("option", ["band=0.4,0.6", "content=0.9"])
def test_a_copy_of_a_slice_that_an_option_leaves_out_is_found(volumes: Path, bench: Bench, option: str) -> None:
    for number in range(3):
        _write(volumes / "synthetic" / f"{number:03d}.png", volume(number), 0)
    ended = bench(*COMMON, "--patients", "P[0-9]+", "--set-data", option)
    listed = pd.read_csv(volumes / "out" / "withhold.csv")
    certain = listed[listed["confidence"] == "near-certain"]
    copied = {f"{number:03d}.png": f"P{number:03d}.nii" for number in range(3)}
    assert dict(zip(certain["file"], certain["train_file"], strict=True)).items() >= copied.items()
    assert ended.returncode == 10
    name = option.partition("=")[0]
    assert f"{name}: not used in an audit, which compares all slices of a volume" in ended.stderr
