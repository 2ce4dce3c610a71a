"""A user's own planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.cohorts.grid import resize_smooth, to_uint8
from benchmark.datasets.arrays.dataset import Arrays
from benchmark.errors import BadDataError, MissingDataError, UsageError


def planes(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_one_file_is_one_patient(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", images=planes(3, 20, 30))
    np.save(tmp_path / "a.npy", planes(20, 30))
    (tmp_path / ".hidden.npy").write_bytes(b"x")
    sources = Arrays().sources(tmp_path)
    assert [source.subject for source in sources] == ["a", "b"]
    many = Arrays(image_size=16).read(sources[1])
    assert many.pixels.shape == (3, 1, 16, 16)
    assert many.pixels.dtype == np.uint8
    assert many.names == ("00000", "00001", "00002")
    assert np.array_equal(many.pixels[2, 0], to_uint8(resize_smooth(planes(3, 20, 30)[2], 16)))
    assert Arrays().read(sources[0]).pixels.shape == (1, 1, 64, 64)


def test_uint8_of_the_right_size_is_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", planes(2, 16, 16))
    data = Arrays(image_size=16)
    assert np.array_equal(data.read(data.sources(tmp_path)[0]).pixels[:, 0], planes(2, 16, 16))


def test_a_window_makes_grey_levels(tmp_path: Path) -> None:
    data = Arrays(image_size=10, low=-1000, high=400)
    one = np.full((10, 10), -300, dtype=np.int16)
    one[0], one[1] = 3000, -2000
    np.save(tmp_path / "a.npy", one)
    grey = data.read(data.sources(tmp_path)[0]).pixels[0, 0]
    assert [grey[row, 0] for row in (0, 1, 5)] == [255, 0, 128]  # -300 is half way from -1000 to 400


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as missing:
        Arrays().sources(tmp_path)
    assert str(missing.value) == (
        f"{tmp_path} holds no arrays: no file *.npz or *.npy\n  hint: save each patient's planes with numpy.save"
    )
    np.save(tmp_path / "a.npy", np.linspace(0, 1, 64).reshape(8, 8))
    source = Arrays().sources(tmp_path)[0]
    with pytest.raises(BadDataError) as bad:
        Arrays().read(source)
    assert str(bad.value) == (
        f"{tmp_path / 'a.npy'} holds float64 values, and no window to make grey levels of them\n"
        "  hint: give one: --set-data low=-1000 --set-data high=400"
    )
    np.save(tmp_path / "a.npy", planes(2, 2, 8, 8))
    with pytest.raises(BadDataError) as bad:
        Arrays().read(source)
    assert str(bad.value) == (
        f"{tmp_path / 'a.npy'} holds an array of shape (2, 2, 8, 8)\n  hint: save planes as (n, rows, columns)"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image_size": 4},
            "image_size 4 does not fit an image\n  hint: choose a size from 8 to 2048",
        ),
        ({"low": 1.0}, "low 1.0 and high None are no window\n  hint: give both, low below high"),
        ({"low": 1.0, "high": 1.0}, "low 1.0 and high 1.0 are no window\n  hint: give both, low below high"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Arrays(**options)  # type: ignore[arg-type]
    assert str(error.value) == message
