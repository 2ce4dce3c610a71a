"""From stored bits to grey levels: bits above or below the values, padding, MONOCHROME1, large slopes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write_series, write_slice

from benchmark.images.readers import read_image
from benchmark.images.readers.series import read_series

VALUES = np.random.default_rng(0).integers(0, 4096, (8, 10))


def bits(path: Path, stored: np.ndarray, bits_stored: int, high: int) -> np.ndarray:
    """Write a plane (rows, columns) with these tags, and return what is read."""
    file = pydicom.dcmread(write_slice(path / "a.dcm", stored))
    file.BitsStored, file.HighBit = bits_stored, high
    file.save_as(path / "a.dcm")
    return np.asarray(read_image(path / "a.dcm").pixels)


@pytest.mark.parametrize(("count", "shift"), [(12, 4), (10, 6), (12, 2), (14, 1)])
def test_values_that_begin_above_the_lowest_bit(tmp_path: Path, count: int, shift: int) -> None:
    plane = VALUES >> (12 - min(count, 12))
    assert np.array_equal(bits(tmp_path, (plane << shift).astype("u2"), count, count + shift - 1), plane)


def test_signed_values_that_begin_above_the_lowest_bit(tmp_path: Path) -> None:
    plane = VALUES - 2048
    assert np.array_equal(bits(tmp_path, (plane << 4).astype("i2"), 12, 15), plane)


@pytest.mark.parametrize("low", [0, -2048])
def test_a_wrong_high_bit_of_values_from_the_lowest_bit(tmp_path: Path, low: int) -> None:
    plane = (VALUES + low).astype("i2" if low else "u2")
    assert np.array_equal(bits(tmp_path, plane, 12, 15), plane)


@pytest.mark.parametrize("count", [10, 12])
def test_an_overlay_in_the_high_bits_is_no_part_of_the_values(tmp_path: Path, count: int) -> None:
    plane = VALUES >> (12 - count)
    overlay = (VALUES % 2) << count
    assert np.array_equal(bits(tmp_path, (plane | overlay).astype("u2"), count, count - 1), plane)


@pytest.mark.parametrize(("value", "limit"), [(0, 2), (2, 0), (4000, 4095)])
def test_a_range_of_padding(tmp_path: Path, value: int, limit: int) -> None:
    plane = (VALUES % 3900 + 50).astype("u2")
    plane[0, :3] = np.linspace(min(value, limit), max(value, limit), 3)
    path = write_slice(tmp_path / "a.dcm", plane, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
    padded = np.zeros(plane.shape, bool)
    padded[0, :3] = True
    assert np.array_equal(read_image(path).pixels, np.where(padded, plane[~padded].min(), plane))


@pytest.mark.parametrize(("kind", "written"), [("i2", ("US", 63536)), ("u2", ("SS", -2000))])
def test_padding_of_the_other_sign(tmp_path: Path, kind: str, written: tuple[str, int]) -> None:
    plane = VALUES.astype(kind)
    plane[0] = np.array(-2000).astype(kind)
    file = pydicom.dcmread(write_slice(tmp_path / "a.dcm", plane))
    file.add_new("PixelPaddingValue", *written)
    file.save_as(tmp_path / "a.dcm")
    pixels = read_image(tmp_path / "a.dcm").pixels
    assert np.array_equal(pixels[1:], plane[1:])
    assert (pixels[0] == plane[1:].min()).all()


@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_monochrome1_leaves_hounsfield_units_and_activities(tmp_path: Path, modality: str) -> None:
    hu = np.random.default_rng(1).integers(-1000, 1000, (6, 8, 10))
    files = write_series(tmp_path, hu, PhotometricInterpretation="MONOCHROME1", Modality=modality)
    (image,) = read_series(files).volumes
    assert np.array_equal(image.pixels[::-1, ::-1].transpose(2, 1, 0), hu)


@pytest.mark.parametrize("kind", ["u2", "i2"])
def test_monochrome1_inverts_all_planes_of_a_volume_alike(tmp_path: Path, kind: str) -> None:
    stored = np.random.default_rng(1).integers(0, 1000, (6, 8, 10)).astype(kind)
    for number, plane in enumerate(stored):
        place = {"ImagePositionPatient": [0, 0, number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        tags = {"PixelSpacing": [1, 1], "Modality": "MR", "PhotometricInterpretation": "MONOCHROME1"}
        write_slice(tmp_path / f"{number}.dcm", plane, slope=2, intercept=1, **place, **tags)
    (image,) = read_series(sorted(tmp_path.iterdir())).volumes
    inverted = image.pixels[::-1, ::-1].transpose(2, 1, 0)
    assert len(np.unique(inverted + 2 * stored.astype(int))) == 1


@pytest.mark.parametrize(("slope", "intercept"), [(40_000, 0), (2**20, -5), (1, 2**30), (2**40, 0)])
def test_large_whole_slopes(tmp_path: Path, slope: float, intercept: float) -> None:
    path = write_slice(tmp_path / "a.dcm", (VALUES * 16).astype("u2"), slope=slope, intercept=intercept)
    assert read_image(path).pixels == pytest.approx(VALUES * 16.0 * slope + intercept)
