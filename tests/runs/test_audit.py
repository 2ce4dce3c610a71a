"""`bench audit`: three folders of films of simulated patients, by the fast detector."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import write_slice
from PIL import Image

from .conftest import Bench, films

Audit = Callable[..., "subprocess.CompletedProcess[str]"]
PATTERN = "P[0-9]+"
TRAIN, HELDOUT, OTHERS = range(40), range(40, 80), range(80, 160)


def write(folder: Path, name: str, film: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film).save(folder / name)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two films of each of 40 training and 40 held-out patients; a film of each of 80 others as synthetic images."""
    for side, patients in (("train", TRAIN), ("heldout", HELDOUT)):
        for patient in patients:
            for number, film in enumerate(films(patient)):
                write(tmp_path / side, f"P{patient:03d}_{number}.png", film)
    for number, patient in enumerate(OTHERS):
        write(tmp_path / "synthetic", f"{number:03d}.png", films(patient)[0])
    return tmp_path


@pytest.fixture
def audit(bench: Bench) -> Audit:
    def call(*arguments: object, heldout: bool = True) -> subprocess.CompletedProcess[str]:
        sides = ("--heldout", "heldout") if heldout else ()
        common = ("--train", "train", "--synthetic", "synthetic", "--patients", PATTERN, "--quick", "--out", "out")
        return bench("audit", *common, *sides, *arguments)

    return call


def copy(root: Path, count: int, side: str = "train") -> dict[str, str]:
    """Replace the first synthetic images by flipped images of the first patients; return whose they are."""
    copied = {}
    for number in range(count):
        source = sorted((root / side).iterdir())[2 * number]
        write(root / "synthetic", f"{number:03d}.png", np.asarray(Image.open(source))[:, ::-1])
        copied[f"{number:03d}.png"] = source.name
    return copied


def test_copies_are_found_listed_and_left_out(folders: Path, audit: Audit) -> None:
    copied = copy(folders, 10)
    ended = audit("--copy-to", "clean")
    listed = pd.read_csv(folders / "out" / "withhold.csv", dtype=str)
    certain = listed[listed["confidence"] == "near-certain"]
    assert dict(zip(certain["file"], certain["train_file"], strict=True)) == copied
    assert list(certain["patient"]) == [name.split("_")[0] for name in certain["train_file"]]
    assert "HOLD: " in ended.stdout
    kept = {path.name for path in (folders / "clean").iterdir()}
    assert kept == {path.name for path in (folders / "synthetic").iterdir()} - set(listed["file"])
    assert "nothing found" in ended.stdout.splitlines()[-1]
    summary = json.loads((folders / "out" / "summary.json").read_text())
    share = summary["scores"]["exposed.items[pixels:transforms=flips,rotations,shifts,scales]"]
    assert share["low"] <= 10 / 80 <= share["high"]
    assert summary["verdict"]["exit_code"] == 10
    assert ended.returncode == 12  # of the clean set: 70 images cannot show a share of 1 %


def test_nothing_found_says_what_would_have_been_seen(folders: Path, audit: Audit) -> None:
    ended = audit()
    summary = json.loads((folders / "out" / "summary.json").read_text())
    seen = summary["verdict"]["seen"]
    assert ended.returncode == 12
    assert summary["scores"]["exposed.items[pixels:transforms=flips,rotations,shifts,scales]"]["low"] == 0
    assert ended.stdout.splitlines()[-1] == (
        f"NOTHING FOUND: no copies of training images; copies from {seen:.1%} of the synthetic images on would have "
        "been seen, but 1.0% was asked for: give more synthetic images, or more held-out patients"
    )
    assert audit("--must-see", seen).returncode == 0
    assert audit("--must-see", seen, "--fail-above", 0.001).returncode == 13


def test_json_alone_on_standard_output_and_without_names(folders: Path, audit: Audit) -> None:
    copy(folders, 10)
    ended = audit("--json")
    assert json.loads(ended.stdout)["verdict"]["kind"] == "hold"
    assert "P0" not in ended.stdout
    assert stat.S_IMODE((folders / "out").stat().st_mode) == 0o700
    assert (folders / "out" / ".gitignore").read_text() == "*\n"
    assert str(folders) not in ended.stdout


def test_a_model_that_has_seen_held_out_patients_gets_no_all_clear(folders: Path, audit: Audit) -> None:
    copy(folders, 40, side="heldout")
    ended = audit()
    assert ended.returncode == 11
    assert "this model has seen held-out patients" in ended.stdout.splitlines()[-1]


def test_without_held_out_patients_only_identical_copies_can_be_found(folders: Path, audit: Audit) -> None:
    ended = audit(heldout=False)
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1] == (
        "CANNOT TELL: pixels:transforms=flips,rotations,shifts,scales: there are no held-out images, so that nothing "
        "tells altered copies from chance: only nearly identical ones can be found"
    )
    copy(folders, 3)
    ended = audit(heldout=False)
    assert ended.returncode == 10
    assert set(pd.read_csv(folders / "out" / "withhold.csv")["file"]) == {"000.png", "001.png", "002.png"}


def test_a_synthetic_file_that_cannot_be_read_is_listed(folders: Path, audit: Audit) -> None:
    (folders / "synthetic" / "005.png").write_bytes(b"no image")
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert "1 synthetic files could not be read" in ended.stdout
    listed = pd.read_csv(folders / "out" / "withhold.csv")
    assert list(listed[listed["reason"] == "not compared"]["file"]) == ["005.png"]


def test_a_training_file_that_cannot_be_read_is_no_all_clear(folders: Path, audit: Audit) -> None:
    (folders / "train" / "P003_1.png").write_bytes(b"no image")
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert "1 training images were left out" in ended.stdout.splitlines()[-1]


def test_patients_of_a_table_and_of_names_are_the_same(folders: Path, audit: Audit, bench: Bench) -> None:
    copy(folders, 10)
    rows = [
        f"{side}/{path.name},{path.name[:4]}" for side in ("train", "heldout") for path in (folders / side).iterdir()
    ]
    (folders / "patients.csv").write_text("\n".join(["file,patient", *rows]))
    audit()
    by_name = pd.read_csv(folders / "out" / "withhold.csv")
    sides = ("--train", "train", "--heldout", "heldout", "--synthetic", "synthetic")
    ended = bench("audit", *sides, "--quick", "--out", "out2", "--patients", "patients.csv")
    assert "80 training images of 40 patients, 80 held-out images of 40 patients, 80 synthetic images" in ended.stderr
    pd.testing.assert_frame_equal(pd.read_csv(folders / "out2" / "withhold.csv"), by_name)
    ended = bench("audit", *sides, "--quick", "--out", "out3")  # recognised from the names
    assert "80 training images of 40 patients" in ended.stderr
    pd.testing.assert_frame_equal(pd.read_csv(folders / "out3" / "withhold.csv"), by_name)


@pytest.mark.parametrize("kind", ["unit", "signed", "dicom", "padded"])
def test_synthetic_images_of_another_kind_or_size(folders: Path, audit: Audit, kind: str) -> None:
    copied = copy(folders, 10)
    for path in sorted((folders / "synthetic").iterdir()):
        plane = np.asarray(Image.open(path))
        if kind == "dicom":
            write_slice(path.with_suffix(".dcm"), plane.astype(np.uint16) * 16, Modality="CR")
        elif kind == "padded":
            np.save(path.with_suffix(".npy"), np.pad(plane, ((10, 20), (0, 0))))
        else:
            unit = plane.astype(np.float32) / 255
            np.save(path.with_suffix(".npy"), 2 * unit - 1 if kind == "signed" else unit)
        path.unlink()
    assert audit().returncode == 10
    listed = pd.read_csv(folders / "out" / "withhold.csv", dtype=str)
    certain = listed[listed["confidence"] == "near-certain"]
    assert dict(zip(certain["file"].str[:3], certain["train_file"], strict=True)) == {
        name[:3]: source for name, source in copied.items()
    }


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2, ended.stdout
    return ended.stderr[ended.stderr.index("error: ") :]


def test_wrong_questions_are_refused_before_anything_is_read(folders: Path, audit: Audit, bench: Bench) -> None:
    shutil.copy(folders / "train" / "P003_0.png", folders / "heldout" / "P003_0.png")
    assert refusal(audit()) == (
        "error: 1 patients are in the folder of training images and in that of held-out images: P003\n"
        "  hint: hold out patients of whom no image was trained on; if these names are no patients, say how patients "
        "are recognised: --patients\n"
    )
    (folders / "heldout" / "P003_0.png").rename(folders / "heldout" / "P903_0.png")
    assert refusal(audit()) == (
        "error: 1 images are in the folder of training images and in that of held-out images, for example "
        "train/P003_0 and heldout/P903_0\n"
        "  hint: take them out of the held-out folder: the model has seen them\n"
    )
    assert refusal(bench("audit", "--train", "train", "--heldout", "train", "--synthetic", "synthetic")) == (
        "error: --train train is in --heldout train\n  hint: give folders of which none is in another\n"
    )
    assert refusal(bench("audit", "--train", "train", "--heldout", "none", "--synthetic", "synthetic")) == (
        "error: --heldout names none, which is no folder\n  hint: give the folder of the images\n"
    )


def test_so_few_patients_that_nothing_can_be_told(folders: Path, audit: Audit) -> None:
    for path in sorted((folders / "heldout").iterdir())[2:]:
        path.unlink()
    assert "this question has no answer: 40 training patients and 1 held-out" in refusal(audit())
