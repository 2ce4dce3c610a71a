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

from benchmark.core.percent import percent

from .conftest import Bench, films, smooth

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
    assert max(map(len, ended.stdout.split("numbers")[0].splitlines())) < 80
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
        f"NOTHING FOUND: no copies of training images; copies from {percent(seen)} of the synthetic images on would "
        "have been seen, but 1.0 % was asked for: give more synthetic images, or more held-out patients; 3 that may be "
        "alike by chance are in withhold.csv"
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
    for name in ("summary.json", "report.html"):  # an option of runs, which audits do not have
        assert "--trained-on" not in (folders / "out" / name).read_text(encoding="utf-8")


def test_without_held_out_patients_only_identical_copies_can_be_found(folders: Path, audit: Audit) -> None:
    ended = audit(heldout=False)
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1] == (
        "CANNOT TELL: pixels: there are no held-out images, so that nothing tells altered copies from chance: only "
        "nearly identical ones can be found"
    )
    copy(folders, 3)
    ended = audit(heldout=False)
    assert ended.returncode == 10
    assert set(pd.read_csv(folders / "out" / "withhold.csv")["file"]) == {"000.png", "001.png", "002.png"}


def test_a_synthetic_file_that_cannot_be_read_is_listed(folders: Path, audit: Audit) -> None:
    (folders / "synthetic" / "005.png").write_bytes(b"no image")
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert "1 synthetic files were not compared" in ended.stdout
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
        "error: 1 patient is in the folder of training images and in that of held-out images: P003\n"
        "  hint: hold out patients of whom no image was trained on; if these names are no patients, say how patients "
        "are recognised: --patients\n"
    )
    (folders / "heldout" / "P003_0.png").rename(folders / "heldout" / "P903_0.png")
    assert refusal(audit()) == (
        "error: 1 image is in the folder of training images and in that of held-out images, for example "
        "train/P003_0 and heldout/P903_0\n"
        "  hint: take out of the held-out folder what the model has seen\n"
    )
    assert refusal(bench("audit", "--train", "train", "--heldout", "train", "--synthetic", "synthetic")) == (
        "error: --train train is in --heldout train\n  hint: give folders of which none is in another\n"
    )
    assert refusal(bench("audit", "--train", "train", "--heldout", "none", "--synthetic", "synthetic")) == (
        "error: --heldout names none, which does not exist\n  hint: give the folder of the images\n"
    )


def test_so_few_patients_that_nothing_can_be_told(folders: Path, audit: Audit) -> None:
    for path in sorted((folders / "heldout").iterdir())[2:]:
        path.unlink()
    assert "this question has no answer: 40 training patients and 1 held-out" in refusal(audit())


@pytest.mark.parametrize("name", ["{}.bmp", "{}_mask.png", ".{}.png"])
def test_copies_that_nobody_read_are_no_all_clear(folders: Path, audit: Audit, name: str) -> None:
    for number in range(3):
        source = sorted((folders / "train").iterdir())[2 * number]
        Image.open(source).save(folders / "synthetic" / name.format(f"{number:03d}"))
    ended = audit("--must-see", 1, "--copy-to", "clean")
    told = (
        "nothing was found, but 3 synthetic files were not compared: withhold.csv lists them; repair or convert them, "
        "or take them out of the folder"
    )
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1] == f"CANNOT TELL: {told}"
    assert ended.stderr.endswith(f"error: nothing is copied to clean: {told}\n  hint: a clean set needs an answer\n")
    listed = pd.read_csv(folders / "out" / "withhold.csv")
    unread = sorted(listed.loc[listed["reason"] == "not compared", "file"])
    assert unread == sorted(name.format(f"{number:03d}") for number in range(3))
    assert not (folders / "clean").exists()


def test_training_images_that_nobody_read_are_no_all_clear(folders: Path, audit: Audit) -> None:
    Image.fromarray(films(300)[0]).save(folders / "train" / "P300_0.bmp")
    assert (
        audit("--must-see", 1)
        .stdout.splitlines()[-1]
        .startswith(
            "CANNOT TELL: nothing was found, but 1 training images were left out, and copies of them would not be seen"
        )
    )


def test_inverted_copies_are_no_all_clear(folders: Path, audit: Audit) -> None:
    for path in (folders / "synthetic").iterdir():
        write(folders / "synthetic", path.name, 255 - np.asarray(Image.open(path)))
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1] == (
        "CANNOT TELL: nothing was found, but 100 % of the synthetic images are less like the mean training image than "
        "99 % of the training images: look whether they are inverted, rotated, noise, or of another organ"
    )


def test_noise_is_no_all_clear_where_training_images_have_no_anatomy_in_common(folders: Path, audit: Audit) -> None:
    rng = np.random.default_rng(0)
    for side in ("train", "heldout", "synthetic"):
        for path in (folders / side).iterdir():
            image = 128 + 12 * rng.standard_normal((48, 48)) if side == "synthetic" else 128 + 45 * smooth(rng, 48, 8)
            write(folders / side, path.name, np.clip(image, 0, 255).astype(np.uint8))
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1].startswith(
        "CANNOT TELL: nothing was found, but 100 % of the synthetic images are less like their nearest training image "
    )


def test_repeated_images_count_once(folders: Path, audit: Audit) -> None:
    first = np.asarray(Image.open(folders / "synthetic" / "000.png"))
    for number in range(78):
        write(folders / "synthetic", f"{number:03d}.png", first)
    ended = audit("--must-see", 1)
    assert ended.returncode == 11
    assert "78 samples" not in ended.stderr
    assert "it takes 6: at least 6 samples" in ended.stdout.splitlines()[-1]
    assert json.loads((folders / "out" / "summary.json").read_text())["scores"]["samples.repeated"]["value"] == 77


def test_images_that_are_links_and_a_cache_of_a_folder_that_was_moved(folders: Path, audit: Audit) -> None:
    copied = copy(folders, 10)
    (folders / "elsewhere").mkdir()
    (folders / "synthetic" / "000.png").rename(folders / "elsewhere" / "a.png")
    (folders / "synthetic" / "000.png").symlink_to(folders / "elsewhere" / "a.png")
    assert audit("--copy-to", "clean").returncode == 12
    (folders / "clean").rename(folders / "moved")
    ended = audit("--copy-to", "clean")
    assert ended.returncode == 12, ended.stderr
    assert not set(copied) & {path.name for path in (folders / "clean").iterdir()}


def test_equal_names_in_one_folder_and_in_several(folders: Path, audit: Audit) -> None:
    for place in ("a", "b"):
        for number in range(10):
            write(folders / "synthetic" / place, f"{number}.png", films(400 + number)[0])
    source = next((folders / "train").iterdir())
    Image.open(source).save(folders / "synthetic" / "b" / "3.tif")
    ended = audit("--copy-to", "clean")
    assert pd.read_csv(folders / "out" / "withhold.csv").loc[0, "file"] == "b/3.tif"
    assert (folders / "clean" / "b" / "3.png").exists()
    assert not (folders / "clean" / "b" / "3.tif").exists()
    assert ended.returncode == 12


def test_files_of_equal_names_where_each_is_of_another_patient(folders: Path, audit: Audit) -> None:
    for side in ("train", "heldout"):
        for number, path in enumerate(sorted((folders / side).glob("*_0.png"))):
            path.rename(folders / side / f"{number:03d}.png")
        for path in (folders / side).glob("*_1.png"):
            path.unlink()
    for number in range(10):
        image = np.asarray(Image.open(folders / "train" / f"{number:03d}.png"))
        write(folders / "synthetic", f"{number:03d}.png", image[:, ::-1])
    assert audit("--patients", "none").returncode == 10
    listed = pd.read_csv(folders / "out" / "withhold.csv", dtype=str)
    certain = listed[listed["confidence"] == "near-certain"]
    assert list(certain["file"]) == list(certain["train_file"]) == [f"{number:03d}.png" for number in range(10)]
    shutil.copy(folders / "train" / "003.png", folders / "heldout" / "900.png")
    assert "1 image is in the folder of training images" in refusal(audit("--patients", "none"))


def test_nothing_is_left_to_copy(folders: Path, audit: Audit) -> None:
    for path in sorted((folders / "synthetic").iterdir())[40:]:
        path.unlink()
    copy(folders, 40)
    ended = audit("--copy-to", "clean")
    assert ended.returncode == 10
    assert ended.stderr.endswith("error: nothing is copied to clean: every synthetic image is to be withheld\n")


def test_folders_that_may_not_be_written(folders: Path, audit: Audit) -> None:
    (folders / "mine").mkdir()
    (folders / "mine" / "notes.txt").write_text("mine")
    new = "  hint: give a new folder, or that of an earlier audit, which is replaced\n"
    inside = "is in --train train, and what is written there would count as images\n  hint: give a folder outside: "
    assert refusal(audit("--out", "mine")) == f"error: --out mine holds other files\n{new}"
    assert refusal(audit("--out", "mine/notes.txt")) == f"error: --out mine/notes.txt is no folder\n{new}"
    assert refusal(audit("--out", "train/x")) == f"error: --out train/x {inside}--out FOLDER\n"
    assert refusal(audit("--copy-to", "train/x")) == f"error: --copy-to train/x {inside}--copy-to FOLDER\n"
    assert refusal(audit("--cache", "train/x")) == f"error: --cache train/x {inside}--cache FOLDER\n"
    inside = inside.replace("--train train", "--copy-to clean")
    assert refusal(audit("--copy-to", "clean", "--out", "clean/x")) == f"error: --out clean/x {inside}--out FOLDER\n"
    assert not (folders / "train" / "x").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--must-see nan", "--must-see nan is no share of images\n  hint: give more than 0 and at most 1\n"),
        ("--must-see 0", "--must-see 0 is no share of images\n  hint: give more than 0 and at most 1\n"),
        ("--fail-above nan", "--fail-above nan is no share of images\n  hint: give 0 to 1\n"),
    ],
)
def test_shares_that_are_none(folders: Path, audit: Audit, option: str, message: str) -> None:
    assert refusal(audit(*option.split())) == f"error: {message}"


def test_a_second_audit_leaves_nothing_of_the_first(folders: Path, audit: Audit) -> None:
    copy(folders, 10)
    audit("--copy-to", "clean")
    assert (folders / "out" / "clean" / "withhold.csv").exists()
    for number in range(10):
        write(folders / "synthetic", f"{number:03d}.png", films(500 + number)[0])
    assert audit().returncode != 10
    assert not (folders / "out" / "clean").exists()
    assert "verbatim" not in set(pd.read_csv(folders / "out" / "withhold.csv")["reason"])


def test_one_altered_copy_is_too_few_for_a_share_and_no_all_clear(folders: Path, audit: Audit) -> None:
    image = Image.open(folders / "train" / "P003_0.png").rotate(15, Image.Resampling.BICUBIC)
    image.save(folders / "synthetic" / "000.png")
    ended = audit("--must-see", 1)
    listed = pd.read_csv(folders / "out" / "withhold.csv", dtype=str)
    assert listed.loc[0, ["file", "train_file", "confidence"]].tolist() == ["000.png", "P003_0.png", "near-certain"]
    assert ended.returncode == 11
    assert ended.stdout.splitlines()[-1] == (
        "CANNOT TELL: 1 synthetic image is far more like one training image than any is like a held-out one, which is "
        "too few for a share of copies; look at the first suspects in report.html"
    )
