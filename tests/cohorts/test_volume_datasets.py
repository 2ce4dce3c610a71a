from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from benchmark.cohorts.radiograph_datasets import square
from benchmark.cohorts.volume_datasets import Volumes
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Source
from benchmark.images.crop import around, from_planes, planes, resample, seen_at
from benchmark.images.windowing import HOUNSFIELD, grey, limits

AXES = ("axial", "coronal", "sagittal")


def head() -> np.ndarray:
    """A volume (x, y, z) whose voxels tell where they are: 10,000 x + 100 y + z."""
    x, y, z = np.meshgrid(range(4), range(6), range(8), indexing="ij")
    return (10000 * x + 100 * y + z).astype(np.int32)


def read(tmp_path: Path, voxels: np.ndarray, sizes: tuple[float, ...] = (1, 1, 1), **options: Any) -> Any:
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([*sizes, 1.0])), tmp_path / "a.nii.gz")
    return Volumes(**options).read(Source("a", "a", (str(tmp_path / "a.nii.gz"),)))


def blocky(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)


@pytest.mark.parametrize(
    ("axis", "first", "corner"),
    # Of the first slice: the voxel at its upper left. Feet first, rows from the front, columns from the right ...
    [("axial", 0, (3, 5, 0)), ("coronal", 0, (3, 0, 7)), ("sagittal", 0, (0, 5, 7))],
)
def test_slices_are_seen_as_by_radiologists(axis: Any, first: int, corner: tuple[int, ...]) -> None:
    x, y, z = corner
    assert planes(head(), axis)[first, 0, 0] == 10000 * x + 100 * y + z


@pytest.mark.parametrize("axis", AXES)
def test_planes_can_be_undone(axis: Any) -> None:
    assert np.array_equal(from_planes(planes(head(), axis), axis), head())


@pytest.mark.parametrize("axis", AXES)
def test_a_point_is_seen_where_its_voxel_is(axis: Any) -> None:
    at, row, column = seen_at(np.array([1, 4, 6]), head().shape, axis)
    assert planes(head(), axis)[at, row, column] == 10406


def test_around_a_point_near_the_border() -> None:
    plane = np.arange(20.0).reshape(4, 5)
    piece = around(plane, (0, 4), 3, -1)
    assert np.array_equal(piece, [[-1, -1, -1], [3, 4, -1], [8, 9, -1]])
    assert np.array_equal(around(plane, (40, 40), 2, -1), np.full((2, 2), -1))


def test_resampling_averages_and_keeps_the_mean() -> None:
    volume = blocky(16, 16, 16)
    small = resample(volume, (8, 8, 8))
    assert small.shape == (8, 8, 8)
    assert small.mean() == pytest.approx(volume.mean(), rel=0.02)
    assert small.std() < volume.std() / 2
    assert np.array_equal(resample(volume, volume.shape), volume)


def test_windows_are_those_of_radiologists() -> None:
    assert HOUNSFIELD == {"lung": (-1350, 150), "mediastinum": (-125, 225), "bone": (-500, 1300)}


@pytest.mark.parametrize(
    ("window", "expected"),
    [("lung", (-1350, 150)), ("-1000,400", (-1000, 400)), ("maximum", (0, 999)), ("range", (-100, 999))],
)
def test_limits(window: str, expected: tuple[float, float]) -> None:
    values = np.array([-100, 50, 999], np.int16)
    assert limits(values, window, "a") == expected
    assert np.allclose(grey(np.array(expected), *expected), [0, 255])


def test_auto_keeps_eight_bits_and_stretches_others() -> None:
    values = np.arange(201)
    assert limits(values.astype(np.uint8), "auto", "a") == (0, 255)
    assert limits(values, "auto", "a") == pytest.approx((1, 199))


def test_levels_of_sixteen_bits() -> None:
    with pytest.raises(BadDataError) as caught:
        limits(np.arange(9, dtype=np.uint16), "levels", "a.png")
    assert str(caught.value) == (
        "a.png holds uint16 values, 8-bit grey levels are needed\n  hint: choose another window"
    )


@pytest.mark.parametrize("window", ["kidney", "400,-1000", "1,2,3", "nan,5"])
def test_unknown_window(window: str) -> None:
    with pytest.raises(UsageError) as caught:
        Volumes(window=window)
    assert str(caught.value) == (
        f"there is no window {window!r}\n  hint: choose lung, mediastinum, bone (CT), "
        "auto, levels, percentiles, maximum, range, or two numbers such as -1000,400"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 4}, "image_size 4 does not fit an image\n  hint: choose a size from 8 to 2048"),
        (
            {"items": "volumes", "image_size": 512},
            "image_size 512 does not fit a volume\n  hint: choose a size from 8 to 256",
        ),
        ({"band": (0.8, 0.2)}, "band 0.8,0.2 is no part of a volume\n  hint: choose such as 0.2,0.8"),
        (
            {"spacing": -1.0},
            "spacing, depth, stride and content cannot be negative, content is below 1\n  hint: correct it",
        ),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Volumes(**options)
    assert str(caught.value) == message


def test_nothing_is_cut_off_and_the_aspect_is_kept(tmp_path: Path) -> None:
    voxels = np.zeros((64, 32, 4), np.int16)
    voxels[0, 0], voxels[-1, -1] = 500, 1000
    items = read(tmp_path, voxels, (1, 2, 5), image_size=32, window="0,1000")
    assert items.names == ("z000", "z001", "z002", "z003")
    assert items.spacing_mm == (2, 2)
    plane = items.pixels[0, 0]
    # The patient's right is on the left, the front above: there the voxel with the largest x and y must be.
    assert plane[0, 0] == plane.max() > plane[31, 31] > plane[16, 16] == 0
    assert read(tmp_path, voxels, (1, 2, 5), image_size=64, window="0,1000").pixels.shape == (4, 1, 64, 64)


def test_band_and_content(tmp_path: Path) -> None:
    voxels = np.zeros((16, 16, 10), np.int16)
    voxels[4:12, 4:12, 5:] = 1000
    voxels[0, 0, 0] = 1
    kept = read(tmp_path, voxels, image_size=16, window="0,1000", content=0.2, band=(0.0, 0.8))
    assert kept.names == ("z005", "z006", "z007")
    assert read(tmp_path, voxels, image_size=16, window="0,1000", content=0.3).names == ()


@pytest.mark.parametrize(("padding", "fill"), [("background", 26), ("mid-grey", 128)])
def test_depth_is_padded_before_or_after_scaling(tmp_path: Path, padding: Any, fill: int) -> None:
    voxels = blocky(6, 16, 16)
    options = {"items": "volumes", "axis": "sagittal", "depth": 10, "image_size": 16, "window": "-100,900"}
    items = read(tmp_path, np.maximum(voxels, 1), padding=padding, **options)
    assert items.pixels.shape == (1, 1, 10, 16, 16)
    assert (items.pixels[0, 0, :2] == fill).all()
    assert (items.pixels[0, 0, -2:] == fill).all()
    assert items.pixels[0, 0, 2:-2].std() > 10


def test_tiles_and_patches_cover_the_file_at_its_own_size(tmp_path: Path) -> None:
    tiles = read(tmp_path, blocky(32, 16, 3), items="tiles", image_size=16, window="0,1000")
    assert tiles.names[:2] == ("z000_r000_c000", "z000_r000_c016")
    assert len(tiles.names) == 6
    patches = read(tmp_path, blocky(32, 16, 16), items="patches", image_size=16, stride=8, window="0,1000")
    assert patches.names == ("x000_y000_z000", "x008_y000_z000", "x016_y000_z000")
    whole = read(tmp_path, blocky(32, 16, 16), items="volumes", image_size=32, window="0,1000").pixels[0, 0]
    assert np.array_equal(patches.pixels[1, 0], whole[8:24, 8:24, 8:24])


def test_a_spacing_is_kept_whatever_the_file(tmp_path: Path) -> None:
    fine = read(tmp_path, blocky(40, 40, 4), (0.5, 0.5, 2), spacing=2.0, image_size=16)
    coarse = read(tmp_path, blocky(10, 10, 4), (2, 2, 2), spacing=2.0, image_size=16)
    assert fine.spacing_mm == coarse.spacing_mm == (2, 2)
    for items in (fine, coarse):
        filled = np.flatnonzero(items.pixels[1, 0].any(axis=0))
        assert filled.max() - filled.min() + 1 == pytest.approx(10, abs=1)


def test_radiographs_are_squashed_or_padded() -> None:
    plane = np.full((8, 16), 200, np.uint8)
    plane[0, 0] = 0
    assert square(plane, 16, "auto", "squash", "a")[15, 15] == 200
    padded = square(plane, 16, "auto", "pad", "a")
    assert padded[0, 8] == padded[15, 8] == 0
    assert padded[8, 8] == 200
