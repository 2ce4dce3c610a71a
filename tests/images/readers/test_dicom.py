from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import enhanced, header, write_series, write_slice

from benchmark.core.errors import BadDataError
from benchmark.images.readers import is_dicom, read_image
from benchmark.images.readers.series import read_series

AGAIN = "\n  hint: download or copy the file again"


def ct(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 2000, shape or (8, 6, 5))


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(BadDataError) as caught:
        read()
    return str(caught.value)


def series_refusal(folder: Path) -> str:
    return refusal(lambda: read_series(sorted(folder.iterdir())))


def seen(image: Any) -> np.ndarray:
    """The planes of a volume as they were written: feet to head, rows to the back, columns to the left."""
    return image.pixels[::-1, ::-1].transpose(2, 1, 0)


@pytest.mark.parametrize("syntax", ["plain", "rle", "jpeg"])
def test_real_ct_comes_back_within_one_unit(real_data: Callable[[str], Path], tmp_path: Path, syntax: str) -> None:
    hu = np.load(real_data("ct_covidctmd_128") / "normal001.npz")["hu"][::8]
    files = write_series(tmp_path / "normal001", hu, spacing=(16.0, 2.8, 2.8), syntax=syntax)
    random.Random(0).shuffle(files)
    (image,) = read_series(files).volumes
    assert np.abs(seen(image) - hu).max() <= 1
    assert image.spacing_mm == pytest.approx((2.8, 2.8, 16.0))
    assert image.orientation == "LPS"
    assert "Jane" not in repr(image)


def test_order_is_by_position_not_by_number_or_name(tmp_path: Path) -> None:
    hu = ct()
    write_series(tmp_path, hu)
    assert np.array_equal(seen(read_series(sorted(tmp_path.iterdir())).volumes[0]), hu)


@pytest.mark.parametrize(
    ("orientation", "code"),
    [
        ((1, 0, 0, 0, 1, 0), "LPS"),
        ((0, 1, 0, 0, 0, -1), "PIR"),
        ((1, 0, 0, 0, 0, -1), "LIP"),
        ((-1, 0, 0, 0, -1, 0), "RAS"),
    ],
)
def test_any_direction_of_scanning_ends_in_ras(tmp_path: Path, orientation: tuple[float, ...], code: str) -> None:
    hu = ct(8, 6, 5)
    write_series(tmp_path, hu, orientation=orientation)
    (image,) = read_series(sorted(tmp_path.iterdir())).volumes
    assert image.orientation == code
    assert image.affine is not None
    assert np.array_equal(np.sign(np.diag(image.affine)), [1, 1, 1, 1])
    # The corner voxel that the file places at (-90, -80, -300) mm left, back, head must be result there.
    place = np.linalg.inv(image.affine) @ [90.0, 80.0, -300.0, 1.0]
    assert image.pixels[tuple(np.round(place[:3]).astype(int))] == hu[0, 0, 0]


def test_missing_positions_fall_back_to_slice_location(tmp_path: Path) -> None:
    hu = ct()
    for place, plane in enumerate(hu):
        path = tmp_path / f"{9 - place}.dcm"
        write_slice(path, (plane + 1024).astype(np.uint16), intercept=-1024, SliceLocation=2.0 * place)
    (image,) = read_series(sorted(tmp_path.iterdir())).volumes
    assert np.array_equal(seen(image), hu)
    assert image.spacing_mm == ()


def test_missing_pixel_spacing_is_unknown_not_one(tmp_path: Path) -> None:
    hu = ct()
    write_series(tmp_path, hu, PixelSpacing=None)
    (image,) = read_series(sorted(tmp_path.iterdir())).volumes
    assert np.array_equal(seen(image), hu)
    assert (image.spacing_mm, image.affine, image.orientation) == ((), None, "LPS")


def test_no_place_at_all(tmp_path: Path) -> None:
    for place, plane in enumerate(ct()):
        write_slice(tmp_path / f"{place}.dcm", plane.astype(np.int16))
    assert series_refusal(tmp_path) == (
        f"{tmp_path}/0.dcm has no position: no ImagePositionPatient, SliceLocation or InstanceNumber"
        "\n  hint: export the series again, or leave it out"
    )


def test_several_series_and_a_scout(tmp_path: Path) -> None:
    first, second = ct(), ct()[::-1]
    write_series(tmp_path, second, names="b{:03d}.dcm", SeriesInstanceUID="1.9", SeriesNumber=7)
    write_series(tmp_path, first, names="z{:03d}.dcm", SeriesInstanceUID="1.2", SeriesNumber=3)
    write_series(tmp_path, ct(2, 30, 30), names="scout{:03d}.dcm", SeriesInstanceUID="1.1", SeriesNumber=1)
    result = read_series(sorted(tmp_path.iterdir()))
    assert result.scouts == 1
    assert [np.array_equal(seen(image), hu) for image, hu in zip(result.volumes, (first, second), strict=True)] == [
        True
    ] * 2


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    hu = ct()
    (image,) = read_series([enhanced(tmp_path / "a.dcm", hu)]).volumes
    assert np.array_equal(seen(image), hu)
    assert image.spacing_mm == pytest.approx((0.7, 0.7, 2.0))


def test_fractional_slope_and_padding(tmp_path: Path) -> None:
    stored = np.arange(64, dtype=np.int16).reshape(8, 8) + 100
    stored[0] = -2000
    write_slice(tmp_path / "a.dcm", stored, slope=0.5, intercept=3, PixelPaddingValue=-2000)
    pixels = read_image(tmp_path / "a.dcm").pixels
    assert np.array_equal(pixels[1:], stored[1:] * 0.5 + 3)
    assert (pixels[0] == pixels[1:].min()).all()


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    stored = np.arange(64, dtype=np.uint16).reshape(8, 8)
    write_slice(tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_image(tmp_path / "a.dcm").pixels, 63 - stored.astype(int))


def test_no_preamble(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8))
    file = pydicom.dcmread(path)
    bare = pydicom.Dataset()
    bare.update({element.tag: element for element in file})
    bare.save_as(path, implicit_vr=True, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    assert read_image(path).pixels.shape == (8, 8)


def test_names_without_a_known_ending(tmp_path: Path) -> None:
    plane = np.arange(64, dtype=np.uint16).reshape(8, 8)
    assert is_dicom(write_slice(tmp_path / "IM-0001-0001", plane))
    assert is_dicom(write_slice(tmp_path / "1.3.6.1.4.1.14519.5", plane))
    (tmp_path / "LICENSE").write_text("free")
    assert not is_dicom(tmp_path / "LICENSE")
    assert not is_dicom(tmp_path / "a.xml")


def test_text_named_dcm(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("not an image")
    assert refusal(lambda: read_image(tmp_path / "a.dcm")) == (
        f"{tmp_path}/a.dcm is not a DICOM file, or its header is damaged" + AGAIN
    )


def test_no_pixel_data(tmp_path: Path) -> None:
    header().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert refusal(lambda: read_image(tmp_path / "a.dcm")) == (
        f"{tmp_path}/a.dcm is DICOM without an image (no pixel data)\n  hint: copy it again, or leave it out"
    )


def test_truncated(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8))
    os.truncate(path, path.stat().st_size - 50)
    assert refusal(lambda: read_image(path)) == (
        f"{path} holds pixels that cannot be decoded (Explicit VR Little Endian)"
        "\n  hint: copy it again; where it is whole, unpack it with `gdcmconv --raw`"
    )


def test_colour(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", np.zeros((8, 24), np.uint8), PhotometricInterpretation="RGB")
    assert refusal(lambda: read_image(path)) == (
        f"{path} is a colour image (RGB), a grey one is needed\n  hint: leave it out"
    )


def test_frames_where_a_plane_is_needed(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", ct())
    assert refusal(lambda: read_image(path)) == (
        f"{path} holds 8 frames, one image is needed\n  hint: give the folder of its series as a volume"
    )


def test_mixed_matrix_sizes(tmp_path: Path) -> None:
    files = write_series(tmp_path, ct())
    write_slice(
        files[3], np.ones((6, 9), np.uint16), ImagePositionPatient=[-90, -80, -294],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[0.7, 0.7],
    )  # fmt: skip
    assert series_refusal(tmp_path) == (
        f"{files[3]} has 6 x 9 pixels, but IM0001.dcm of the same series has 6 x 5"
        "\n  hint: export the series again, or leave it out"
    )


def test_missing_slice(tmp_path: Path) -> None:
    files = write_series(tmp_path, ct())
    files[3].unlink()
    assert series_refusal(tmp_path) == (
        f"planes are missing between {files[2]} and {files[4].name}: 4.00 mm apart, elsewhere 2.00 mm"
        "\n  hint: copy the whole series again, or leave it out"
    )


def test_two_acquisitions_at_one_place(tmp_path: Path) -> None:
    write_series(tmp_path, ct())
    write_series(tmp_path, ct(), names="again{:04d}.dcm")
    assert series_refusal(tmp_path).startswith(
        f"{tmp_path}/again0008.dcm is at the position of IM0008.dcm, -300.00 mm along"
    )


def test_only_a_scout(tmp_path: Path) -> None:
    write_series(tmp_path, ct(2, 6, 5))
    assert series_refusal(tmp_path) == (
        f"{tmp_path} holds no volume: its longest DICOM series has 2 planes"
        "\n  hint: give a folder with at least 4 planes of one series"
    )


def test_damaged_position(tmp_path: Path) -> None:
    path = write_slice(
        tmp_path / "a.dcm", np.arange(64, dtype=np.uint16).reshape(8, 8), ImagePositionPatient=[1.0, 2.0]
    )
    assert refusal(lambda: read_image(path)) == (
        f"{path} has a damaged tag ImagePositionPatient: 3 numbers are needed\n  hint: export it again"
    )


def test_messages_hold_no_tags(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write_series(tmp_path, ct(), PatientBirthDate="19700101", StudyDescription="secret study")
    os.truncate(files[2], files[2].stat().st_size - 20)
    said = series_refusal(tmp_path)
    printed = capfd.readouterr()
    for private in ("Jane", "SECRET-17", "19700101", "secret study"):
        assert private not in said + printed.out + printed.err
