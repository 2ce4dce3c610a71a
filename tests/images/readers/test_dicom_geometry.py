"""Where planes are in the patient: tilted gantries, distances, damaged tags, mosaics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import AXIAL, mosaic, write_slice

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image
from benchmark.images.readers.dicom import frame_count
from benchmark.images.readers.series import (
    TILT_KEPT,
    TILT_SHIFTED,
    UNEVEN_SLICES,
    UNPLACED_STACK,
    Series,
    read_series,
)

Z = 2
"""The axis of RAS along which axial planes are stacked."""


def ct(seed: int = 0, slices: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 2000, (slices, 6, 5))


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(BadDataError) as caught:
        read()
    return str(caught.value)


def read(folder: Path, slices_along: int | None = None) -> Series:
    return read_series(sorted(folder.iterdir()), slices_along=slices_along)


def at_heights(folder: Path, heights: Sequence[float], **tags: Any) -> list[Path]:
    """Axial planes of noise at these heights in mm."""
    return [
        write_slice(
            folder / f"{number:02d}.dcm", plane.astype(np.int16), ImagePositionPatient=[0.0, 0.0, height],
            ImageOrientationPatient=list(AXIAL), **({"PixelSpacing": [0.7, 0.7]} | tags),
        )
        for number, (height, plane) in enumerate(zip(heights, ct(0, len(heights)), strict=True))
    ]  # fmt: skip


def head(places: np.ndarray) -> np.ndarray:
    """HU of a smooth head without symmetry, at places (..., 3) in mm to the left, back and head."""
    x, y, z = np.moveaxis(places, -1, 0)
    skull = np.exp(-((x / 45) ** 2 + (y / 55) ** 2 + ((z - 30) / 40) ** 2))
    lesion = np.exp(-(((x - 15) / 14) ** 2 + ((y + 12) / 12) ** 2 + ((z - 38) / 11) ** 2))
    return np.asarray(1000 * skull + 600 * lesion - 1000)


def tilted_head(folder: Path, degrees: float) -> None:
    """Planes tilted about the left-right axis, while the table moves along z in steps of 3 mm; pixels of 1.5 mm."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    along_row, along_column = np.array([1.0, 0, 0]), np.array([0, cosine, -sine])
    column, row = np.meshgrid(np.arange(90) * 1.5, np.arange(100) * 1.5)
    for number in range(24):
        corner = np.array([-67.0, -75.0 * cosine, 75.0 * sine + 3.0 * number - 5.0])
        places = corner + column[..., None] * along_row + row[..., None] * along_column
        write_slice(
            folder / f"{number:02d}.dcm", np.round(head(places)).astype(np.int16),
            ImagePositionPatient=[round(float(value), 6) for value in corner],
            ImageOrientationPatient=[round(float(value), 9) for value in (*along_row, *along_column)],
            PixelSpacing=[1.5, 1.5],
        )  # fmt: skip


@pytest.mark.parametrize("degrees", [15.0, -15.0, 22.5])
def test_a_tilted_acquisition_becomes_upright(tmp_path: Path, degrees: float) -> None:
    tilted_head(tmp_path, degrees)
    series = read(tmp_path)
    assert series.notes == ((TILT_SHIFTED, f"tilted by {abs(degrees):.1f} degrees"),)
    (volume,) = series.volumes
    assert volume.affine is not None
    axes = volume.affine[:3, :3] / volume.spacing_mm
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6), "no shear is left"
    assert volume.spacing_mm == pytest.approx((1.5, 1.5, 3.0 * np.cos(np.radians(degrees))), abs=1e-4)
    index = np.stack(np.meshgrid(*map(np.arange, volume.pixels.shape), indexing="ij"), -1)
    places = (index @ volume.affine[:3, :3].T + volume.affine[:3, 3]) * [-1, -1, 1]
    # Each voxel is at its place, wherever a plane covered it: linear interpolation of a head that bends by at most
    # 600 * 2 / 11^2 HU per mm^2 errs by at most 1.5^2 / 8 of that, 3 HU, and integers by 1.
    covered = volume.pixels > volume.pixels.min()
    assert covered.mean() > 0.75
    inner = covered & np.roll(covered, 1, 1) & np.roll(covered, -1, 1)
    assert np.abs(volume.pixels - head(places))[inner].max() <= 4
    assert volume.pixels.dtype == np.int32


def test_tilted_planes_stay_as_they_are_as_axial_slices(tmp_path: Path) -> None:
    tilted_head(tmp_path, 15.0)
    series = read(tmp_path, slices_along=Z)
    assert series.notes == ((TILT_KEPT, "tilted by 15.0 degrees"),)
    first = pydicom.dcmread(tmp_path / "00.dcm").pixel_array
    assert np.array_equal(series.volumes[0].pixels[::-1, ::-1, 0].T, first)


def test_slices_across_the_planes_are_cut_from_the_upright_volume(tmp_path: Path) -> None:
    tilted_head(tmp_path, 15.0)
    assert read(tmp_path, slices_along=1).notes == ((TILT_SHIFTED, "tilted by 15.0 degrees"),)


def test_less_than_a_degree_is_no_tilt(tmp_path: Path) -> None:
    tilted_head(tmp_path, 0.9)
    assert read(tmp_path).notes == ()


def test_more_than_a_gantry_can_tilt(tmp_path: Path) -> None:
    for number in range(6):
        write_slice(
            tmp_path / f"{number}.dcm", ct()[number].astype(np.int16), PixelSpacing=[1, 1],
            ImagePositionPatient=[0, 4.0 * number, 2.0 * number], ImageOrientationPatient=list(AXIAL),
        )  # fmt: skip
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/0.dcm and the planes of its series are stacked 63.4 degrees off their normal"
        "\n  hint: export the series again, or leave it out"
    )


SLICES = (
    "\n  hint: use its planes as slices along the direction in which they were acquired (items=slices), or leave it out"
)


@pytest.mark.parametrize(
    ("heights", "said"),
    [
        ((0, 5, 10, 15, 20, 22.5, 25, 27.5), "from 5.0 to 2.5 mm at {}/04.dcm"),
        ((0, 2.5, 5, 7.5, 10, 15, 20, 25), "from 2.5 to 5.0 mm at {}/04.dcm"),
        ((0, 5, 10, 17, 22, 27), "from 5.0 to 7.0 mm at {}/02.dcm"),
        ((0, 5, 10, 12, 17, 22), "from 5.0 to 2.0 mm at {}/02.dcm"),
    ],
)
def test_variable_spacing_is_for_slices(tmp_path: Path, heights: tuple[float, ...], said: str) -> None:
    at_heights(tmp_path, heights)
    message = f"spacing changes {said.format(tmp_path)}"
    assert refusal(lambda: read(tmp_path)) == message + SLICES
    assert refusal(lambda: read(tmp_path, slices_along=0)) == message + SLICES
    series = read(tmp_path, slices_along=Z)
    assert series.volumes[0].pixels.shape == (5, 6, len(heights))
    assert series.volumes[0].affine is None
    assert series.notes == ((UNEVEN_SLICES, message),)


@pytest.mark.parametrize("slices_along", [None, Z])
@pytest.mark.parametrize(
    ("heights", "counts", "gap"),
    [
        ((0, 3, 6, 12, 15, 18), None, ("02", "03", "6.00", "3.00")),
        ((0, 3, 6, 15, 18, 21), None, ("02", "03", "9.00", "3.00")),
        ((0, 3, 9, 12, 18, 21), None, ("01", "02", "6.00", "3.00")),
        # Side by side, gaps are told from a change of spacing by the numbers that are missing.
        ((0, 3, 6, 12, 18, 21), (1, 2, 3, 5, 7, 8), ("02", "03", "6.00", "3.00")),
        ((0, 3, 6, 12, 15, 18), (6, 5, 4, 3, 2, 1), ("02", "03", "6.00", "3.00")),
    ],
)
def test_a_missing_plane_is_no_change_of_spacing(
    tmp_path: Path, heights: tuple[float, ...], counts: tuple[int, ...] | None, gap: tuple[str, ...],
    slices_along: int | None,
) -> None:  # fmt: skip
    """An incomplete copy is refused for slices, too: the planes that are left are not those of the scan."""
    for place, path in enumerate(at_heights(tmp_path, heights)):
        if counts:
            file = pydicom.dcmread(path)
            file.InstanceNumber = counts[place]
            file.save_as(path)
    before, after, apart, usual = gap
    assert refusal(lambda: read(tmp_path, slices_along)) == (
        f"planes are missing between {tmp_path}/{before}.dcm and {after}.dcm: {apart} mm apart, elsewhere {usual} mm"
        "\n  hint: copy the whole series again, or leave it out"
    )


@pytest.mark.parametrize(
    ("spacing", "said"), [((0, 0), "0"), ((0.7, 0), "0"), ((-0.7, 0.7), "-0.7"), ((7e4, 7e4), "70000")]
)
def test_spacing_that_no_detector_has(tmp_path: Path, spacing: tuple[float, float], said: str) -> None:
    at_heights(tmp_path, range(6), PixelSpacing=list(spacing))
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/00.dcm cannot be placed: its pixel spacing is {said}"
        "\n  hint: export the series again with its pixel spacing, or leave it out"
    )
    assert read_image(tmp_path / "00.dcm").spacing_mm == (), "a radiograph of unknown spacing"


def test_spacing_of_the_detector_where_the_other_is_zero(tmp_path: Path) -> None:
    at_heights(tmp_path, [0], PixelSpacing=[0, 0], ImagerPixelSpacing=[0.14, 0.14])
    assert read_image(tmp_path / "00.dcm").spacing_mm == (0.14, 0.14)


def test_pixels_of_two_sizes(tmp_path: Path) -> None:
    paths = at_heights(tmp_path, range(6))
    file = pydicom.dcmread(paths[4])
    file.PixelSpacing = [0.9, 0.9]
    file.save_as(paths[4])
    assert refusal(lambda: read(tmp_path)) == (
        f"{paths[4]} has pixels of 0.9 x 0.9 mm, but 00.dcm of the same series of 0.7 x 0.7 mm"
        "\n  hint: export the series again, or leave it out"
    )


@pytest.mark.parametrize(
    "directions", [(0, 0, 0, 0, 0, 0), (1, 0, 0, 1, 0, 0), (1, 0, 0, 0.3, 1, 0), (2, 0, 0, 0, 1, 0)]
)
def test_directions_that_are_no_axes(tmp_path: Path, directions: tuple[float, ...]) -> None:
    for path in at_heights(tmp_path, range(6)):
        file = pydicom.dcmread(path)
        file.ImageOrientationPatient = list(directions)
        file.save_as(path)
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/00.dcm has a damaged tag ImageOrientationPatient: its rows and columns are not perpendicular "
        "unit vectors\n  hint: export the series again, or leave it out"
    )


def test_a_plane_beside_the_line(tmp_path: Path) -> None:
    paths = at_heights(tmp_path, range(0, 12, 2))
    file = pydicom.dcmread(paths[3])
    file.ImagePositionPatient = [12.0, 0, 6.0]
    file.save_as(paths[3])
    assert refusal(lambda: read(tmp_path)) == (
        f"{paths[3]} is 12.00 mm beside the line on which its series is stacked"
        "\n  hint: export the series again, or leave it out"
    )


def test_one_location_in_all_planes_orders_none(tmp_path: Path) -> None:
    for place, plane in enumerate(ct()):
        write_slice(tmp_path / f"{9 - place}.dcm", plane.astype(np.int16), SliceLocation=0.0, InstanceNumber=place)
    assert np.array_equal(read(tmp_path).volumes[0].pixels[::-1, ::-1].transpose(2, 1, 0), ct())


def test_a_location_that_one_plane_lacks_is_not_mixed_with_numbers(tmp_path: Path) -> None:
    for place, plane in enumerate(ct()):
        location = None if place == 2 else 50.0 - 5 * place
        write_slice(tmp_path / f"{place}.dcm", plane.astype(np.int16), SliceLocation=location, InstanceNumber=place)
    assert np.array_equal(read(tmp_path).volumes[0].pixels[::-1, ::-1].transpose(2, 1, 0), ct())


def test_slope_of_each_plane(tmp_path: Path) -> None:
    """PET: every plane has its own."""
    for place, plane in enumerate(ct()):
        write_slice(
            tmp_path / f"{place}.dcm", plane.astype(np.int16), slope=place + 1, PixelSpacing=[1, 1],
            ImagePositionPatient=[0, 0, 3.0 * place], ImageOrientationPatient=list(AXIAL),
        )  # fmt: skip
    expected = ct() * np.arange(1, 9)[:, None, None]
    assert np.array_equal(read(tmp_path).volumes[0].pixels[::-1, ::-1].transpose(2, 1, 0), expected)


def test_mosaics_of_a_time_series(tmp_path: Path) -> None:
    hu = [ct(number, 7) + 1024 for number in range(2)]
    for number, planes in enumerate(hu):
        mosaic(tmp_path / f"{number}.dcm", planes.astype(np.uint16), AcquisitionNumber=number + 1)
    assert frame_count(tmp_path / "0.dcm") == 7
    series = read(tmp_path)
    for volume, planes in zip(series.volumes, hu, strict=True):
        assert np.array_equal(volume.pixels[::-1, ::-1].transpose(2, 1, 0), planes)
        assert volume.spacing_mm == pytest.approx((2.0, 2.0, 3.0))
        assert volume.affine is not None
        # The first pixel of the first plane is at (0, 0, 0).
        assert (np.linalg.inv(volume.affine) @ [0, 0, 0, 1])[:3] == pytest.approx([4, 5, 0])


def test_mosaic_of_an_unknown_number(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "a.dcm", ct(0, 7).astype(np.int16), count=0)
    assert refusal(lambda: read_series([path])) == (
        f"{path} is a mosaic of an unknown number of planes (no NumberOfImagesInMosaic)"
        "\n  hint: convert the series with dcm2niix, and give the NIfTI files"
    )


def test_mosaic_that_does_not_divide(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "a.dcm", ct(0, 7).astype(np.int16), count=20)
    assert refusal(lambda: read_series([path])) == (
        f"{path} is a mosaic of 20 planes, but 18 x 15 pixels do not divide into them"
        "\n  hint: convert the series with dcm2niix, and give the NIfTI files"
    )


def test_mosaic_as_one_image(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "a.dcm", ct(0, 7).astype(np.int16))
    assert refusal(lambda: read_image(path)) == (
        f"{path} holds 7 frames, one image is needed\n  hint: give the folder of its series as a volume"
    )


@pytest.mark.parametrize("tag", ["SliceLocation", "InstanceNumber"])
def test_planes_without_positions_are_in_doubt(tmp_path: Path, tag: str) -> None:
    for place, plane in enumerate(ct()):
        write_slice(tmp_path / f"{9 - place}.dcm", plane.astype(np.int16), **{tag: place})
    (image,) = read(tmp_path).volumes
    assert np.array_equal(image.pixels[::-1, ::-1].transpose(2, 1, 0), ct())
    assert image.remarks == ((UNPLACED_STACK, "taken as axial"),)


def test_planes_without_positions_are_oriented_by_their_directions(tmp_path: Path) -> None:
    """Sagittal: rows from the front to the back, columns from head to feet, planes from right to left."""
    for place, plane in enumerate(ct()):
        directions = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
        write_slice(tmp_path / f"{9 - place}.dcm", plane.astype(np.int16), InstanceNumber=place, **directions)
    (image,) = read(tmp_path).volumes
    # The normal of these directions is to the right, so that the planes run from left to right.
    assert np.array_equal(image.pixels, ct().transpose(0, 2, 1)[:, ::-1, ::-1])
    assert image.spacing_mm == ()
    assert image.remarks == ((UNPLACED_STACK, ""),)


def test_positions_without_directions_order_axial_planes(tmp_path: Path) -> None:
    for place, plane in enumerate(ct()):
        tags = {"ImagePositionPatient": [1, 2, 3.0 * place], "InstanceNumber": 9 - place}
        write_slice(tmp_path / f"{place}.dcm", plane.astype(np.int16), **tags)
    (image,) = read(tmp_path).volumes
    assert np.array_equal(image.pixels[::-1, ::-1].transpose(2, 1, 0), ct())
    assert image.remarks == ((UNPLACED_STACK, "taken as axial"),)


def test_positions_without_directions_that_are_not_axial(tmp_path: Path) -> None:
    for place, plane in enumerate(ct()):
        write_slice(tmp_path / f"{place}.dcm", plane.astype(np.int16), ImagePositionPatient=[3.0 * place, 2, 1])
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/0.dcm has no ImageOrientationPatient, and its series is not axial"
        "\n  hint: export the series again, or leave it out"
    )
