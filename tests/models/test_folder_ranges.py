"""On which scale the images of the model `folder` are: recognised where one can be meant, asked where two can."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.adapters.conformance_tools import toy_split
from benchmark.core.errors import BenchError
from benchmark.core.types import Budget
from benchmark.models.folder.adapter import ImageFolder

HINT = "save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained"


def images(*arrays: np.ndarray, folder: Path, scale: str = "auto") -> np.ndarray:
    """Save arrays as files, and return what the adapter makes of them."""
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    adapter = ImageFolder(str(folder), range=scale)  # type: ignore[arg-type]
    adapter.fit(toy_split(1, 2), folder=folder, budget=Budget(), seed=0, device="cpu")
    return np.concatenate(list(adapter.numbered(slice(0, adapter.available()))))[:, 0]


def refusal(*arrays: np.ndarray, folder: Path, scale: str = "auto") -> str:
    with pytest.raises(BenchError) as error:
        images(*arrays, folder=folder, scale=scale)
    return str(error.value)


def floats(low: float, high: float, count: int = 1, seed: int = 0) -> np.ndarray:
    """Return images (count, 16, 16) that take both ends of a range."""
    array = np.random.default_rng(seed).uniform(low, high, (count, 16, 16)).astype(np.float32)
    array[0, 0, :2] = low, high
    return array


def test_signed_floats_are_recognised_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = floats(-0.98, 1, 3)
    assert np.array_equal(images(array, folder=tmp_path), array)
    assert capsys.readouterr().err == "folder: 3 images, float32 from -0.98 to 1.00, read as [-1, 1]\n"


def test_floats_without_a_value_below_zero_are_asked_about(tmp_path: Path) -> None:
    array = floats(0, 0.98)
    asked = (
        "the images are float32 from 0.00 to 0.98: on the scale [0, 1], or on [-1, 1] without a dark pixel\n"
        "  hint: say which: --set range=unit, or --set range=signed"
    )
    assert refusal(array, folder=tmp_path) == asked
    assert np.allclose(images(array, folder=tmp_path, scale="unit"), array * 2 - 1, atol=1e-6)
    assert np.array_equal(images(array, folder=tmp_path, scale="signed"), array)


def test_one_file_with_values_below_zero_tells_the_scale_of_all(tmp_path: Path) -> None:
    bright, whole = floats(0.2, 0.9), floats(-1, 1)
    assert np.array_equal(images(bright, whole, folder=tmp_path), np.concatenate([bright, whole]))


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint16", "int32"])
def test_grey_levels_in_other_number_types(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.rint(floats(0, 255)).astype(kind)
    assert np.allclose(images(array, folder=tmp_path), array / 127.5 - 1, atol=1e-6)
    assert capsys.readouterr().err == f"folder: 1 images, {kind} from 0.00 to 255.00, read as [0, 255]\n"


def test_dark_levels_are_read_only_if_the_user_says_so(tmp_path: Path) -> None:
    array = floats(0, 90)
    assert refusal(array, folder=tmp_path) == (
        f"{tmp_path}/0.npy holds float32 from 0 to 90, which is no scale of images\n"
        f"  hint: {HINT}; where 255 is white: --set range=levels"
    )
    assert np.allclose(images(array, folder=tmp_path, scale="levels"), array / 127.5 - 1, atol=1e-6)


def test_floats_of_zero_to_one_cast_to_8_bits(tmp_path: Path) -> None:
    array = np.rint(floats(0, 1)).astype(np.uint8)
    assert refusal(array, folder=tmp_path) == (
        f"{tmp_path}/0.npy holds uint8 from 0 to 1, which is no scale of images\n"
        f"  hint: {HINT}; where 255 is white: --set range=levels"
    )


def test_a_given_range_must_fit(tmp_path: Path) -> None:
    assert refusal(floats(0, 1), floats(-1, 1), folder=tmp_path, scale="unit") == (
        f"{tmp_path}/1.npy holds float32 from -1 to 1, which range=unit does not allow: [0, 1]\n"
        "  hint: choose another range, clip the values, or leave range out"
    )


def test_slight_overshoot_is_clipped(tmp_path: Path) -> None:
    array = floats(-1.004, 1.004)
    assert np.array_equal(images(array, folder=tmp_path), np.clip(array, -1, 1))


def test_mixed_number_types_are_named(tmp_path: Path) -> None:
    assert refusal(np.rint(floats(0, 255)).astype(np.uint8), floats(0, 1), folder=tmp_path) == (
        f"{tmp_path}/0.npy holds uint8 from 0 to 255, but 1.npy float32 from 0 to 1: these are two scales\n"
        "  hint: save all images with one number type"
    )


@pytest.mark.parametrize(("low", "high", "text"), [(0.0, 1.0, "0 to 1"), (-1.0, 1.0, "-1 to 1")])
def test_mixed_ranges_are_named(tmp_path: Path, low: float, high: float, text: str) -> None:
    assert refusal(floats(0, 255), floats(low, high), folder=tmp_path) == (
        f"{tmp_path}/1.npy holds float32 from {text}, but 0.npy float32 from 0 to 255: these are two scales\n"
        f"  hint: {HINT}"
    )


def test_a_black_image_among_grey_levels_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = floats(0, 255, 2)
    images(array, np.zeros((1, 16, 16), np.float32), folder=tmp_path)
    assert capsys.readouterr().err == (
        "folder: 3 images, float32 from 0.00 to 255.00, read as [0, 255]; 1 of them constant (every pixel the same)\n"
    )


def test_larger_planes_of_whole_numbers_are_resized_as_8_bits_are(tmp_path: Path) -> None:
    array = np.kron(np.rint(floats(0, 255)[0]), np.ones((2, 2)))
    for kind in ("int32", "uint8"):
        (tmp_path / kind).mkdir()
    of_integers = images(array.astype(np.int32), folder=tmp_path / "int32")
    assert of_integers.shape == (1, 16, 16)
    assert np.array_equal(of_integers, images(array.astype(np.uint8), folder=tmp_path / "uint8"))


def test_what_was_read_is_kept_with_the_model(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", floats(-1, 1, 2))
    adapter = ImageFolder(str(tmp_path))
    adapter.fit(toy_split(1, 2), folder=tmp_path, budget=Budget(), seed=0, device="cpu")
    (tmp_path / "model").mkdir()
    adapter.save(tmp_path / "model")
    described = json.loads((tmp_path / "model" / "external.json").read_text())
    assert described["images"] == "2 images, float32 from -1.00 to 1.00, read as [-1, 1]"
    assert described["options"] == {"path": str(tmp_path), "range": "auto"}
    assert ImageFolder.load(tmp_path / "model", device="cpu").available() == 2


@pytest.mark.parametrize(("low", "clipped"), [(-0.004, ""), (-0.2, "clip what is below 0 and ")])
def test_values_a_little_below_zero_do_not_tell_the_scale(tmp_path: Path, low: float, clipped: str) -> None:
    """Resizing, or a decoder, gives images of [0, 1] such values: read as [-1, 1] they were pale, and nothing said."""
    assert refusal(floats(low, 1), folder=tmp_path) == (
        f"the images are float32 from {low:.2f} to 1.00: on the scale [0, 1], or on [-1, 1] without a dark pixel\n"
        f"  hint: say which: {clipped}--set range=unit, or --set range=signed"
    )


def test_sixteen_bits_are_recognised_where_they_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.rint(floats(0, 65535)).astype(np.uint16)
    assert np.allclose(images(array, folder=tmp_path), array / 32767.5 - 1, atol=1e-6)
    assert capsys.readouterr().err == "folder: 1 images, uint16 from 0.00 to 65535.00, read as [0, 65535]\n"


def test_twelve_of_sixteen_bits_are_asked_about(tmp_path: Path) -> None:
    array = np.rint(floats(0, 4095)).astype(np.uint16)
    assert refusal(array, folder=tmp_path) == (
        f"{tmp_path}/0.npy holds uint16 from 0 to 4095, which is no scale of images\n"
        f"  hint: {HINT}; where 65535 is white: --set range=levels16"
    )
    assert np.allclose(images(array, folder=tmp_path, scale="levels16"), array / 32767.5 - 1, atol=1e-6)


def test_eight_bits_among_sixteen_are_named(tmp_path: Path) -> None:
    wide, narrow = (np.rint(floats(0, high)).astype(np.uint16) for high in (65535, 255))
    assert refusal(wide, narrow, folder=tmp_path) == (
        f"{tmp_path}/1.npy holds uint16 from 0 to 255, but 0.npy uint16 from 0 to 6.554e+04: these are two scales\n"
        f"  hint: {HINT}"
    )


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1), (16, 16, 16)])
def test_volumes_are_not_cut_into_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Nothing in the file says along which axis the cohort's images are, and which axis are their rows."""
    import nibabel as nib

    nib.Nifti1Image(np.linspace(-1, 1, np.prod(shape), dtype=np.float32).reshape(shape), np.eye(4)).to_filename(
        tmp_path / "0.nii.gz"
    )
    said = refusal(folder=tmp_path)
    assert said.startswith(f"{tmp_path}/0.nii.gz holds a volume of shape (16, 16, ")
    assert said.endswith(
        "; the cohort's items are images of shape (1, 16, 16)\n  hint: save each image as .png, or as .npy (rows, "
        "columns): of a volume's axes, nothing says which these are"
    )
