"""mrnet and fastmri-knee, in the files that their publishers hand out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, MissingDataError
from benchmark.datasets.fastmri_knee.dataset import FastmriKnee
from benchmark.datasets.mrnet.dataset import Mrnet


def refusal(read: Callable[[], object], kind: type[BenchError] = MissingDataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def mrnet(root: Path, train: int = 6, valid: int = 2) -> Path:
    """Exams of 17 to 61 slices of 256 x 256, uint8, as in MRNet-v1.0; numbers go on in valid."""
    numbers = {"train": range(train), "valid": range(1130, 1130 + valid)}
    for group, exams in numbers.items():
        for exam in exams:
            rng = np.random.default_rng(exam)
            for plane in ("sagittal", "coronal", "axial"):
                (root / group / plane).mkdir(parents=True, exist_ok=True)
                stack = rng.integers(0, 200, (17 + exam % 45, 256, 256), dtype=np.uint8)
                np.save(root / group / plane / f"{exam:04d}.npy", stack)
        (root / f"{group}-abnormal.csv").write_text("".join(f"{exam:04d},{exam % 2}\n" for exam in exams))
    return root


@pytest.mark.parametrize("inside", ["", "MRNet-v1.0"])
def test_mrnet_layout(tmp_path: Path, inside: str) -> None:
    mrnet(tmp_path / inside, 3, 1)
    dataset = Mrnet(image_size=32)
    assert [(source.name, source.label, source.group) for source in dataset.sources(tmp_path)] == [
        ("0000", "normal", "train"),
        ("0001", "abnormal", "train"),
        ("0002", "normal", "train"),
        ("1130", "normal", "valid"),
    ]
    items = dataset.read(dataset.sources(tmp_path)[0])
    assert items.pixels.shape == (1, 1, 32, 32, 32), "17 slices, padded to 32 along the patient's x"
    assert (items.pixels[0, 0, :7] == 0).all()
    assert items.pixels[0, 0, 8].any()


def test_mrnet_slices_look_as_they_are_stored(tmp_path: Path) -> None:
    mrnet(tmp_path, 1, 0)
    stack = np.load(tmp_path / "train" / "sagittal" / "0000.npy").astype(float)
    dataset = Mrnet(items="slices")
    items = dataset.read(dataset.sources(tmp_path)[0])
    assert len(items.names) == 17
    low, high = stack.min(), stack.max()
    assert np.abs(items.pixels[:, 0] - (stack - low) / (high - low) * 255).max() <= 1


def test_mrnet_recipe_of_dar(tmp_path: Path) -> None:
    mrnet(tmp_path, 1, 0)
    dataset = Mrnet(image_size=64, padding="mid-grey")
    items = dataset.read(dataset.sources(tmp_path)[0])
    assert (items.pixels[0, 0, 0] == 128).all()


def test_mrnet_fold_of_dar_is_that_of_scikit_learn(tmp_path: Path) -> None:
    for exam in range(1130):
        place = tmp_path / "train" / "sagittal" / f"{exam:04d}.npy"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = Mrnet(published="dar2025").sources(tmp_path)
    held = [int(source.name) for source in found if source.group == "val"]
    assert (len(found), len(held)) == (1130, 226)
    order = np.random.RandomState(26).permutation(1130)
    assert sorted(order[:226].tolist()) == held


def test_mrnet_official_split_keeps_the_folders(tmp_path: Path) -> None:
    root = mrnet(tmp_path / "MR", 5, 3)
    dataset = Mrnet(image_size=16, depth=16)
    cohort = prepare("mrnet", dataset, root, tmp_path / "cache", split="official", log=lambda text: None)
    assert cohort.train.items == ("0000", "0001", "0002", "0003", "0004")


def test_mrnet_no_exams(tmp_path: Path) -> None:
    assert refusal(lambda: Mrnet().sources(tmp_path)) == (
        f"{tmp_path} holds no exam: no file train/sagittal/0000.npy\n  hint: give the folder MRNet-v1.0"
    )


def test_mrnet_wrong_table(tmp_path: Path) -> None:
    root = mrnet(tmp_path, 1, 0)
    (root / "train-abnormal.csv").write_text("exam,abnormal\n0000,1\n")
    assert refusal(lambda: Mrnet().sources(root), BadDataError) == (
        f"{root}/train-abnormal.csv has a line that is not EXAM,0 or EXAM,1\n  hint: download the file again"
    )


HEADER = """<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>640</x><y>368</y><z>1</z></matrixSize>
<fieldOfView_mm><x>280.0</x><y>162.8</y><z>4.5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>320</x><y>320</y><z>1</z></matrixSize>
<fieldOfView_mm><x>140.0</x><y>140.0</y><z>4.5</z></fieldOfView_mm></reconSpace></encoding></ismrmrdHeader>"""


def fastmri(path: Path, patient: str, name: str | None = "reconstruction_rss", side: int = 320) -> Path:
    """One file as published: complex raw data beside the reconstruction, the header as bytes, attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(path.stem.removeprefix("file")))
    with h5py.File(path, "w") as file:
        file["kspace"] = np.zeros((5, 2, 8, 8), np.complex64)
        file["ismrmrd_header"] = np.bytes_(HEADER)
        if name:
            file[name] = (rng.random((5, side, side)) * 1e-4).astype(np.float32)
        file.attrs["patient_id"], file.attrs["acquisition"] = patient, "CORPDFS_FBK"
        file.attrs["max"] = 1e-4
    return path


def test_fastmri_layout(tmp_path: Path) -> None:
    fastmri(tmp_path / "multicoil_train" / "file1000001.h5", "aa")
    fastmri(tmp_path / "multicoil_train" / "file1000002.h5", "aa")
    fastmri(tmp_path / "singlecoil_val" / "file1000003.h5", "bb", "reconstruction_esc")
    fastmri(tmp_path / "multicoil_test" / "file1000004.h5", "cc", None)
    dataset = FastmriKnee(image_size=64)
    assert [(source.subject, source.name, source.label, source.group) for source in dataset.sources(tmp_path)] == [
        ("aa", "file1000001", "CORPDFS_FBK", "train"),
        ("aa", "file1000002", "CORPDFS_FBK", "train"),
        ("bb", "file1000003", "CORPDFS_FBK", "val"),
    ]
    assert dataset.remarks(tmp_path) == {"left out, raw data without a reconstruction": ["file1000004"]}
    items = dataset.read(dataset.sources(tmp_path)[0])
    assert items.pixels.shape == (5, 1, 64, 64)
    assert items.spacing_mm == pytest.approx((140 / 64, 140 / 64))


def test_fastmri_slices_look_as_they_are_stored(tmp_path: Path) -> None:
    path = fastmri(tmp_path / "multicoil_train" / "file1000001.h5", "aa", side=64)
    dataset = FastmriKnee(image_size=64)
    items = dataset.read(dataset.sources(tmp_path)[0])
    with h5py.File(path) as file:
        stack = file["reconstruction_rss"][()]
    assert np.abs(items.pixels[:, 0] - stack / stack.max() * 255).max() <= 1


def test_fastmri_may_be_seen_from_another_side(tmp_path: Path) -> None:
    path = fastmri(tmp_path / "multicoil_train" / "file1000001.h5", "aa", side=64)
    dataset = FastmriKnee(image_size=64, axis="sagittal", fit="centre")
    items = dataset.read(dataset.sources(tmp_path)[0])
    with h5py.File(path) as file:
        stack = file["reconstruction_rss"][()]
    assert len(items.names) == 64, "one slice a column of the five coronal ones"
    assert items.names[0] == "x000"
    # The first sagittal slice is the patient's left: the last column as it is seen; in front is the last slice.
    kept = items.pixels[0, 0].astype(float)
    columns = kept[:, kept.any(axis=0)]
    assert columns.shape == (64, 5)
    assert np.corrcoef(columns[:, 0], stack[-1, :, -1])[0, 1] > 0.99


def test_fastmri_patients_of_two_files_stay_together(tmp_path: Path) -> None:
    for number in range(12):
        fastmri(tmp_path / "set" / "multicoil_train" / f"file10000{number:02d}.h5", f"p{number // 2}", side=32)
    cohort = prepare(
        "fastmri-knee", FastmriKnee(image_size=16), tmp_path / "set", tmp_path / "cache", log=lambda text: None
    )
    sides = [set(split.subjects) for split in (cohort.train, cohort.calibration, cohort.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 6


def test_fastmri_raw_data_only(tmp_path: Path) -> None:
    fastmri(tmp_path / "multicoil_test" / "file1000004.h5", "cc", None)
    assert refusal(lambda: FastmriKnee().sources(tmp_path)) == (
        f"{tmp_path} holds no reconstruction: 1 files multicoil_train/*.h5 or the like, none with reconstruction_rss "
        "or reconstruction_esc\n  hint: give the folder with the training and validation files: test files have raw "
        "data only"
    )


def test_fastmri_truncated(tmp_path: Path) -> None:
    path = fastmri(tmp_path / "multicoil_train" / "file1000001.h5", "aa")
    path.write_bytes(path.read_bytes()[:4000])
    assert refusal(lambda: FastmriKnee().sources(tmp_path), BadDataError) == (
        f"{path} is truncated, damaged or not HDF5\n  hint: download or copy the file again"
    )
