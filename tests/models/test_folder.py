"""Images that exist already: what is read, what is refused, each looked at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.adapters.check_model import conforms
from benchmark.adapters.conformance import check_adapter
from benchmark.adapters.conformance_tools import toy_split
from benchmark.adapters.sampling import draw
from benchmark.core.content_digests import option_digests
from benchmark.core.errors import BenchError
from benchmark.core.types import Budget, HasNumberedImages
from benchmark.models.folder.adapter import ImageFolder
from benchmark.plugins.registry import find_model


def opened(folder: Path, channels: int = 1, dims: int = 2) -> ImageFolder:
    adapter = ImageFolder(str(folder))
    adapter.fit(toy_split(channels, dims), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def planes(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


def test_files_of_all_kinds_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    grey = planes(6, 16, 16)
    Image.fromarray(grey[0]).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", grey[1:3])
    np.save(tmp_path / "c.npy", grey[3:5, None])
    np.savez(tmp_path / "d.npz", image=grey[5, None])
    (tmp_path / "notes.txt").write_text("not an image")
    adapter = opened(tmp_path)
    assert isinstance(adapter, HasNumberedImages)
    assert adapter.available() == 6
    found = np.concatenate(list(adapter.numbered(slice(0, 6))))
    assert np.array_equal(np.rint((found[:, 0] + 1) * 127.5), grey)


def test_volumes_and_floats_are_read(tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).uniform(-1, 1, (3, 2, 16, 16, 16)).astype(np.float32)
    np.save(tmp_path / "v.npy", volumes)
    assert np.array_equal(np.concatenate(list(opened(tmp_path, 2, 3).numbered(slice(1, 3)))), volumes[1:])


def test_larger_planes_are_brought_to_the_cohorts_grid(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(np.repeat(planes(1, 16, 16)[0], 2, 0), 2, 1)).save(tmp_path / "a.png")
    assert opened(tmp_path).numbered(slice(0, 1)).__next__().shape == (1, 1, 16, 16)


def test_each_image_is_drawn_once(tmp_path: Path) -> None:
    grey = planes(300, 1, 16, 16)
    np.save(tmp_path / "a.npy", grey)
    draw(opened(tmp_path), 300, toy_split(1, 2), folder=tmp_path / "samples", seed=0, name="folder")
    chunks = [np.load(path) for path in sorted((tmp_path / "samples").glob("*.npy"))]
    assert np.array_equal(np.concatenate(chunks), grey)
    with pytest.raises(BenchError) as error:
        draw(opened(tmp_path / "samples"), 301, toy_split(1, 2), folder=tmp_path / "more", seed=0, name="folder")
    assert str(error.value) == (
        "301 samples were asked for, and folder holds 300 images\n  hint: give --samples 300, or more images"
    )


def test_the_digest_of_its_options_changes_with_the_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", planes(2, 16, 16))
    adapter = opened(tmp_path)
    before = option_digests(adapter)
    assert option_digests(adapter) == before
    np.save(tmp_path / "b.npy", planes(2, 16, 16))
    assert option_digests(adapter) != before


def test_it_conforms(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", planes(20, 16, 16))
    findings = check_adapter(find_model("folder"), {"path": str(tmp_path)})
    assert {finding.cohort for finding in findings if finding.status == "fault"} == {
        "2D, 5 channels", "3D, 1 channel", "3D, 5 channels",
    }  # fmt: skip
    assert conforms([finding for finding in findings if finding.cohort == "2D, 1 channel"])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.zeros((16, 17), np.uint8)[None, None, None],
            (
                "{file} holds an array of shape (1, 1, 1, 16, 17); the cohort's items are (1, 16, 16)\n"
                "  hint: save images of that shape (channels first), or prepare the cohort with another --image-size"
            ),
        ),
        (
            np.full((1, 16, 16), 4095, np.uint16),
            (
                "{file} holds uint16 from 4095 to 4095, which is no scale of images\n"
                "  hint: save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained; "
                "where 65535 is white: --set range=levels16"
            ),
        ),
        (
            np.full((1, 16, 16), 1.5, np.float32),
            (
                "{file} holds float32 from 1.5 to 1.5, which is no scale of images\n"
                "  hint: save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained; "
                "where 255 is white: --set range=levels"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, pixels: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(BenchError) as error:
        opened(tmp_path)
    assert str(error.value) == message.format(file=tmp_path / "a.npy")


def test_no_folder_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as error:
        opened(tmp_path / "none")
    assert str(error.value) == (
        f"there is no folder {tmp_path / 'none'}\n  hint: give the folder of the images: --set path=DIR"
    )
    with pytest.raises(BenchError) as error:
        opened(tmp_path)
    assert error.value.message == f"{tmp_path} holds no image"
