from __future__ import annotations

import os
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

AGAIN = "\n  hint: download or copy the file again"


def volume() -> np.ndarray:
    return np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value)


def itk_image(direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(volume().transpose(2, 1, 0))
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((-10.0, 20.0, 5.0))
    image.SetDirection(direction)
    return image


@pytest.mark.parametrize("ending", ["mhd", "mha", "nrrd", "nhdr", "nii.gz"])
def test_itk_formats_and_nifti_agree(tmp_path: Path, ending: str) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / f"a.{ending}"))
    image = read_image(tmp_path / f"a.{ending}")
    assert np.array_equal(image.pixels, volume()[::-1, ::-1])
    assert image.spacing_mm == (1.0, 2.0, 3.0)
    assert image.orientation == "LPS"
    assert image.affine is not None
    assert image.affine @ [1, 2, 0, 1] == pytest.approx([10, -20, 5, 1])


def test_itk_direction_is_followed(tmp_path: Path) -> None:
    SimpleITK.WriteImage(itk_image((0, 1, 0, 1, 0, 0, 0, 0, -1)), str(tmp_path / "a.mha"))
    image = read_image(tmp_path / "a.mha")
    assert image.pixels.shape == (3, 2, 4)
    assert image.orientation == "PLI"
    assert np.array_equal(image.pixels, volume().transpose(1, 0, 2)[::-1, ::-1, ::-1])


def test_itk_plane(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(volume()[0])
    image.SetSpacing((1.5, 2.5))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    read = read_image(tmp_path / "a.mha")
    assert np.array_equal(read.pixels, volume()[0])
    assert read.spacing_mm == (2.5, 1.5)


def test_missing_raw_file(tmp_path: Path) -> None:
    SimpleITK.WriteImage(itk_image(), str(tmp_path / "a.mhd"))
    (tmp_path / "a.raw").unlink()
    assert refusal(tmp_path / "a.mhd") == (
        f"{tmp_path}/a.mhd is damaged, or the file with its voxels is missing\n  hint: copy header and voxels again"
    )


def test_colours_in_itk(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4, 4, 3)), isVector=True), str(tmp_path / "a.mha"))
    assert refusal(tmp_path / "a.mha") == (
        f"{tmp_path}/a.mha holds 3 dimensions and 3 values per voxel, one grey volume is needed"
        "\n  hint: split it into one file per volume"
    )


def test_nifti_in_ras_and_lps_are_one(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume()[::-1, ::-1], np.diag([1, 2, 3, 1])), tmp_path / "a.nii")
    SimpleITK.WriteImage(itk_image(), str(tmp_path / "b.nii"))
    assert np.array_equal(read_image(tmp_path / "a.nii").pixels, read_image(tmp_path / "b.nii").pixels)


@pytest.mark.parametrize(
    "kind", [np.dtype("complex64"), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])], ids=["complex", "colour"]
)
def test_nifti_of_other_than_real_numbers(tmp_path: Path, kind: np.dtype) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), kind), np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == (
        f"{tmp_path}/a.nii holds {kind} values, one real number per pixel is needed\n  hint: save magnitudes in grey"
    )


def test_nifti_with_an_unknown_unit(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(volume(), np.diag([1, 2, 3, 1]))
    image.header["xyzt_units"] = 5
    nibabel.save(image, tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").spacing_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("name", ["anything", "reconstruction_rss", "image"])
def test_hdf5(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = volume()
        if name != "anything":
            file["kspace"] = np.zeros((2, 2))
    assert np.array_equal(read_image(tmp_path / "a.h5").pixels, volume())


def test_hdf5_of_raw_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.zeros((2, 2), complex)
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds complex128 values, real numbers are needed\n  hint: save magnitudes, not raw data"
    )


def test_hdf5_of_many(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = volume(), volume()
    assert refusal(tmp_path / "a.h5") == (
        f"{tmp_path}/a.h5 holds 2 arrays (x, y) and none is named reconstruction_rss, reconstruction_esc, image"
        "\n  hint: save one image per file, named image"
    )


def test_truncated_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.zeros((100, 100))
    os.truncate(tmp_path / "a.h5", 3000)
    assert refusal(tmp_path / "a.h5") == f"{tmp_path}/a.h5 is truncated, damaged or not HDF5" + AGAIN
