"""Voxel sizes and directions of NIfTI files end up right, or the file is refused by name."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import Image, read_image

NO_DIRECTIONS = (
    "{} does not say how its axes are oriented in the patient (its affine is singular or not finite)"
    "\n  hint: convert the original DICOM series again, or leave it out"
)
CONTRADICTION = "in doubt, sform and qform of the header contradict each other"
UNORIENTED = "in doubt, no orientation in the file: axes were kept as stored"
OBLIQUE = "in doubt, axes far from those of the patient (40 degrees or more): the nearest were used"
ODD_SIZE = "in doubt, voxels above 100 mm or below 0.001 mm: the unit of the file may be wrong"


def volume() -> np.ndarray:
    return np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def save(path: Path, sform: np.ndarray | None = None, qform: np.ndarray | None = None, unit: str = "mm") -> Path:
    """Write a file with the forms that are given; pixdim is of the qform, else of the sform."""
    header = nibabel.Nifti1Header()
    header.set_data_shape(volume().shape)
    header.set_data_dtype(np.int16)
    header.set_xyzt_units(unit)
    if sform is not None:
        header["pixdim"][1:4] = np.linalg.norm(sform[:3, :3], axis=0)
        header.set_sform(sform, 1)
    if qform is not None:
        header.set_qform(qform, 1)
    header["vox_offset"] = 352
    path.write_bytes(header.binaryblock + bytes(4) + volume().tobytes(order="F"))
    return path


def with_pixdim(path: Path, *sizes: float) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into("<3f", content, 80, *sizes)
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value)


def same_pixels(image: Image, stored: np.ndarray) -> bool:
    return np.array_equal(image.pixels, stored)


def test_the_form_that_agrees_with_the_voxel_sizes_is_used(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii", sform=np.eye(4), qform=np.diag([2, 2, 3, 1.0])))
    assert image.spacing_mm == (2, 2, 3)
    assert image.remarks == ((CONTRADICTION, "sform 1 x 1 x 1 mm RAS, qform 2 x 2 x 3 mm RAS; the qform was used"),)


def test_forms_that_agree_leave_no_remark(tmp_path: Path) -> None:
    affine = np.diag([2, 2, 3, 1.0])
    image = read_image(save(tmp_path / "a.nii", sform=affine * [1.005, 1, 1, 1], qform=affine))
    assert image.remarks == ()
    assert image.spacing_mm == pytest.approx((2.01, 2, 3))


def test_forms_that_differ_in_orientation_only(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii", sform=np.eye(4), qform=np.diag([-1, 1, 1, 1.0])))
    assert same_pixels(image, volume())
    assert image.remarks == ((CONTRADICTION, "sform 1 x 1 x 1 mm RAS, qform 1 x 1 x 1 mm LAS; the sform was used"),)


def test_no_form_that_agrees(tmp_path: Path) -> None:
    path = with_pixdim(save(tmp_path / "a.nii", sform=np.diag([2, 2, 3, 1.0])), 1, 1, 1)
    assert refusal(path) == (
        f"{path} contradicts itself: sform 2 x 2 x 3 mm RAS, its voxel sizes (pixdim) are 1 x 1 x 1 mm"
        "\n  hint: convert the original again, or correct its header"
    )


def test_a_singular_sform_leaves_the_qform(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii", sform=np.zeros((4, 4)), qform=np.diag([2, 2, 3, 1.0])))
    assert image.spacing_mm == (2, 2, 3)
    assert image.remarks == ((CONTRADICTION, "sform unusable, qform 2 x 2 x 3 mm RAS; the qform was used"),)


@pytest.mark.parametrize("kind", ["zero", "nan", "flat"])
def test_no_usable_direction(tmp_path: Path, kind: str) -> None:
    sform = {"zero": np.zeros((4, 4)), "nan": np.full((4, 4), np.nan), "flat": np.eye(4)}[kind]
    if kind == "flat":  # two axes half a degree apart
        sform[:2, 1] = np.cos(0.008), np.sin(0.008)
    path = with_pixdim(save(tmp_path / "a.nii", sform=sform), 1, 1, 1)
    assert refusal(path) == NO_DIRECTIONS.format(path)


def test_neither_form_gives_sizes_without_orientation(tmp_path: Path) -> None:
    image = read_image(with_pixdim(save(tmp_path / "a.nii"), 2, 2, 3))
    assert same_pixels(image, volume())
    assert (image.spacing_mm, image.affine, image.orientation) == ((2, 2, 3), None, "")
    assert image.remarks == ((UNORIENTED, ""),)


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("form", ["none", "qform"])
def test_voxel_sizes_that_are_none(tmp_path: Path, size: float, form: str) -> None:
    path = save(tmp_path / "a.nii", qform=np.eye(4) if form == "qform" else None)
    assert refusal(with_pixdim(path, size, 1, 1)) == (
        f"{path} has voxels of {size:g} x 1 x 1 mm: a size is above 0"
        "\n  hint: convert the original again, or leave it out"
    )


def test_voxel_sizes_of_the_sform_where_pixdim_has_none(tmp_path: Path) -> None:
    image = read_image(with_pixdim(save(tmp_path / "a.nii", sform=np.diag([2, 2, 3, 1.0])), 0, 0, 0))
    assert image.spacing_mm == (2, 2, 3)
    assert image.remarks == (
        ("in doubt, voxel sizes (pixdim) in the header are unusable, those of the sform were used", ""),
    )


def test_oblique_volumes_are_named(tmp_path: Path) -> None:
    def rotated(degrees: float) -> np.ndarray:
        affine = np.eye(4)
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        affine[:2, :2] = [[cosine, -sine], [sine, cosine]]
        return affine

    assert read_image(save(tmp_path / "a.nii", sform=rotated(44))).remarks == ((OBLIQUE, "44 degrees"),)
    assert read_image(save(tmp_path / "b.nii", sform=rotated(30))).remarks == ()


@pytest.mark.parametrize(("unit", "size", "expected"), [("meter", 0.002, 2), ("micron", 2000, 2), ("unknown", 2, 2)])
def test_units(tmp_path: Path, unit: str, size: float, expected: float) -> None:
    image = read_image(save(tmp_path / "a.nii", sform=np.diag([size, size, size, 1]), unit=unit))
    assert image.spacing_mm == pytest.approx((expected,) * 3)
    assert image.remarks == ()


def test_a_unit_that_cannot_be(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", sform=np.diag([2, 2, 3, 1.0]), unit="meter")
    assert read_image(path).remarks == ((ODD_SIZE, "2000 x 2000 x 3000 mm"),)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 1, 1, 1), (5, 6, 4, 1, 1), (5, 6, 4, 1)])
def test_axes_of_length_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stored = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([1, 2, 3, 1])), tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    assert same_pixels(image, stored.reshape(5, 6, -1))
    assert image.spacing_mm == (1, 2, 3)


def test_a_plane_needs_no_size_across_it(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume()[..., :1], np.eye(4)), tmp_path / "a.nii")
    path = with_pixdim(tmp_path / "a.nii", 2, 2, 0)
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 0)  # neither qform nor sform
    path.write_bytes(content)
    assert read_image(path).spacing_mm == (2, 2, 1)


def test_a_part_of_four_dimensions(tmp_path: Path) -> None:
    stored = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "a.nii")
    assert same_pixels(read_image(tmp_path / "a.nii", part=3), stored[..., 3])
    with pytest.raises(BadDataError) as caught:
        read_image(tmp_path / "a.nii", part=5)
    assert str(caught.value) == (f"{tmp_path}/a.nii holds 5 volumes, number 5 was asked for\n  hint: count from 0")


@pytest.mark.parametrize("shape", [(2, 3, 20), (2, 3, 20, 1)])
def test_a_later_part_of_one_volume(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(shape), np.eye(4)), tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii", part=0).pixels.shape == (2, 3, 20)
    with pytest.raises(BadDataError) as caught:
        read_image(tmp_path / "a.nii", part=1)
    assert str(caught.value) == f"{tmp_path}/a.nii holds 1 volume, number 1 was asked for\n  hint: count from 0"


def test_sheared_affines_are_read(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    path = save(tmp_path / "a.nii", sform=sheared)
    assert same_pixels(read_image(path), volume())


@pytest.mark.parametrize("slope", [np.nan, 0.0])
def test_a_slope_that_says_nothing(tmp_path: Path, slope: float) -> None:
    path = save(tmp_path / "a.nii", sform=np.eye(4))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, slope, slope)
    path.write_bytes(content)
    assert same_pixels(read_image(path), volume())


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_slope_and_intercept_are_applied_as_nibabel_does(tmp_path: Path, ending: str) -> None:
    image = nibabel.Nifti1Image(volume(), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    path = tmp_path / f"a.{ending}"
    nibabel.save(image, path)
    expected = np.asanyarray(nibabel.load(path).dataobj)
    assert same_pixels(read_image(path), expected)
    assert read_image(path).pixels.dtype == expected.dtype


@pytest.mark.parametrize("kind", ["int64", "uint64", "float64", ">i2", ">f4"])
def test_number_types(tmp_path: Path, kind: str) -> None:
    image = nibabel.Nifti1Image(volume().astype(kind), np.eye(4), dtype=np.dtype(kind).newbyteorder("="))
    nibabel.save(image.__class__(image.dataobj, image.affine, image.header.as_byteswapped()), tmp_path / "a.nii")
    assert same_pixels(read_image(tmp_path / "a.nii"), volume())


@pytest.mark.parametrize("name", ["X.NII.GZ", "X.NII"])
def test_capitals_in_names(tmp_path: Path, name: str) -> None:
    nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert same_pixels(read_image(tmp_path / name), volume())


def test_compressed_or_not_is_told_by_the_first_bytes(tmp_path: Path) -> None:
    for ending in ("nii", "nii.gz"):
        nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), tmp_path / f"a.{ending}")
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "a.nii").read_bytes())
    for name in ("b.nii", "b.nii.gz"):
        assert same_pixels(read_image(tmp_path / name), volume())


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_pairs(tmp_path: Path, kind: type) -> None:
    nibabel.save(kind(volume(), np.diag([1, 2, 3, 1])), tmp_path / "a.img")
    image = read_image(tmp_path / "a.hdr")
    assert same_pixels(image, volume())
    assert image.spacing_mm == (1, 2, 3)
    (tmp_path / "a.img").unlink()
    assert refusal(tmp_path / "a.hdr") == (
        f"{tmp_path}/a.hdr is a header without voxels: there is no file a.img in its folder"
        "\n  hint: copy both files of the pair, or convert them to .nii.gz"
    )
    assert refusal(tmp_path / "a.img") == (
        f"{tmp_path}/a.img holds voxels without their header\n  hint: give a.hdr in the same folder"
    )


def test_the_format_before_nifti_has_no_orientation(tmp_path: Path) -> None:
    nibabel.save(nibabel.Spm2AnalyzeImage(volume(), np.diag([-1, 2, 3, 1])), tmp_path / "a.img")
    image = read_image(tmp_path / "a.hdr")
    assert same_pixels(image, volume())
    assert image.spacing_mm == (1, 2, 3)
    assert image.remarks == ((UNORIENTED, ""),)
