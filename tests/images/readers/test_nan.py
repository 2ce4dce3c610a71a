"""NaN outside the body: refused, or taken for background where the user says so; infinities are always refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import PIL.Image
import pytest
import SimpleITK

from benchmark.cohorts.prepare import prepare
from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.core.errors import BadDataError
from benchmark.core.types import Source
from benchmark.datasets.folder.dataset import Folder
from benchmark.images.readers import read_image

REMARK = "NaN pixels set to the least value of their file (nan=background)"
WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "a.npy": np.save,
    "a.npz": lambda path, array: np.savez(path, image=array),
    "a.nii.gz": lambda path, array: nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path),
    "a.mha": lambda path, array: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path)),
    "a.tif": lambda path, array: PIL.Image.fromarray(array[0]).save(path),
}


def with_nan(count: int = 2) -> np.ndarray:
    array = np.arange(-5, 55, dtype=np.float32).reshape(3, 4, 5)
    array[0, 0, :count] = np.nan
    return array


def refusal(path: Path, nan: str | None = None) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path, nan=nan)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("name", [*WRITERS, "a.h5"])
def test_nan_becomes_the_least_value_in_every_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.h5":
        with h5py.File(path, "w") as file:
            file["image"] = with_nan()
    else:
        WRITERS[name](path, with_nan())
    image = read_image(path, nan="background")
    assert np.isfinite(image.pixels).all()
    assert np.count_nonzero(image.pixels == -3) == 3  # the least value that is left, and two that were NaN
    assert image.remarks[-1] == (REMARK, f"2 of {image.pixels.size}")


def test_without_the_option_nan_is_refused_and_the_option_named_where_there_is_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", with_nan())
    hint = "\n  hint: replace them with finite values, or leave it out"
    assert refusal(tmp_path / "a.npy") == f"{tmp_path}/a.npy holds 2 pixels that are NaN{hint}"
    assert refusal(tmp_path / "a.npy", "refuse") == (
        f"{tmp_path}/a.npy holds 2 pixels that are NaN (--set-data nan=background takes them for background){hint}"
    )


def test_infinities_are_never_background(tmp_path: Path) -> None:
    array = with_nan()
    array[1, 1, 1] = np.inf
    np.save(tmp_path / "a.npy", array)
    assert refusal(tmp_path / "a.npy", "background") == (
        f"{tmp_path}/a.npy holds 1 pixels that are infinite, and 2 that are NaN"
        "\n  hint: replace them with finite values, or leave it out"
    )


def test_nothing_but_nan(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", with_nan() * np.nan)
    assert refusal(tmp_path / "a.npy", "background") == (
        f"{tmp_path}/a.npy holds only NaN\n  hint: export it again, or leave it out"
    )


def test_constant_but_for_nan(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.where(np.isnan(with_nan()), np.nan, np.float32(7)))
    assert refusal(tmp_path / "a.npy", "background") == (
        f"{tmp_path}/a.npy is constant: every pixel is 7\n  hint: export it again, or leave it out"
    )


@pytest.mark.parametrize("ending", ["nii.gz", "npy", "tif"])
def test_the_folder_takes_the_option_and_says_so(tmp_path: Path, ending: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        array = rng.normal(size=(16, 16, 16)).astype(np.float32)
        array[0, : number + 1, 0] = np.nan
        WRITERS[f"a.{ending}"](root / f"n{number}.{ending}", array)
    said: list[str] = []
    dataset = Folder(image_size=16, group_pattern="none", nan="background")
    cohort = prepare("folder", dataset, root, tmp_path / "cache", log=said.append, strict=True)
    pixels = 256 if ending == "tif" else 4096
    names = ", ".join(f"n{number} ({number + 1} of {pixels})" for number in range(4))
    assert cohort.train.shape == (1, 16, 16)
    assert f"folder: {REMARK}: {names}" in said


def test_radiographs_take_the_option(tmp_path: Path) -> None:
    WRITERS["a.tif"](tmp_path / "a.tif", np.kron(with_nan(), np.ones((1, 4, 4), np.float32)))
    source = Source(subject="p", name="a", files=(str(tmp_path / "a.tif"),))
    items = Radiographs(image_size=8, nan="background").read(source)
    assert items.remarks == ((REMARK, "a (32 of 320)"),)
    with pytest.raises(BadDataError):
        Radiographs(image_size=8).read(source)


def test_strict_refuses_files_in_doubt(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        image = nibabel.Nifti1Image(rng.integers(0, 255, (16, 16, 8)).astype(np.uint8), np.eye(4))
        if number == 2:
            image.set_qform(np.diag([2, 2, 3, 1.0]), 1)  # pixdim, too
        nibabel.save(image, root / f"n{number}.nii.gz")
    said: list[str] = []
    remark = (
        "in doubt, sform and qform of the header contradict each other: "
        "n2 (sform 1 x 1 x 1 mm RAS, qform 2 x 2 x 3 mm RAS; the qform was used)"
    )
    dataset = Folder(image_size=16, group_pattern="none")
    prepare("folder", dataset, root, tmp_path / "cache", log=said.append)
    assert f"folder: {remark}" in said
    with pytest.raises(BadDataError) as caught:
        prepare("folder", dataset, root, tmp_path / "cache", log=said.append, strict=True)
    assert str(caught.value) == (
        f"folder: {remark}\n  hint: repair or remove these, or leave --strict out: they are used as it says"
    )
