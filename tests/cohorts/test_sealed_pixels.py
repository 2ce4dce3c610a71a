"""Pixels on disk: each item that is read is one that was written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.cohorts.sealed_pixels import SealedPixels, item_digest
from benchmark.core.errors import DamagedError
from benchmark.core.sealed import is_intact, write_sealed_json

ITEMS = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4)).astype(np.uint8)


@pytest.fixture
def pixels(tmp_path: Path) -> SealedPixels:
    np.save(tmp_path / "pixels.npy", ITEMS)
    write_sealed_json(tmp_path / "finished.json", {})
    return SealedPixels(
        tmp_path / "pixels.npy", [item_digest(item) for item in ITEMS], finished=tmp_path / "finished.json"
    )


def change(pixels: SealedPixels, item: int, folder: Path) -> None:
    """Change the last value of an item in the file, and set the time of the file back."""
    path = folder / "pixels.npy"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-16 * (len(pixels) - 1 - item) - 1, os.SEEK_END)
        value = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([value ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(None), slice(1, 6, 2), [5, 0, 0], np.array([2, 1]), np.arange(6) > 2, (slice(2, 4), 0), (3, 0, 1)],
)
def test_it_indexes_as_an_array_does(pixels: SealedPixels, index: object) -> None:
    assert np.array_equal(pixels[index], ITEMS[index])  # type: ignore[index]
    assert np.array_equal(pixels, ITEMS)
    assert np.array_equal(pixels.checked(), ITEMS)
    assert (len(pixels), pixels.shape, pixels.dtype, pixels.nbytes, pixels.ndim) == (6, (6, 1, 4, 4), "uint8", 96, 4)


@pytest.mark.parametrize("read_before", [False, True])
def test_a_changed_item_is_refused_when_it_is_read(pixels: SealedPixels, tmp_path: Path, read_before: bool) -> None:
    if read_before:
        pixels.check()
    change(pixels, 4, tmp_path)
    assert np.array_equal(pixels[:4], ITEMS[:4])
    assert is_intact(tmp_path / "finished.json")
    with pytest.raises(DamagedError) as error:
        _ = pixels[3:]
    assert str(error.value) == (
        f"{tmp_path / 'pixels.npy'} has changed since it was prepared: item 4 is not what was read from the files\n"
        "  hint: run the same command again: all items are prepared again"
    )
    assert not (tmp_path / "finished.json").exists()


def test_a_deleted_file_is_read_as_it_was(pixels: SealedPixels, tmp_path: Path) -> None:
    (tmp_path / "pixels.npy").unlink()
    assert np.array_equal(pixels[:], ITEMS)


def test_another_number_of_items_is_none(pixels: SealedPixels, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not hold 5 items"):
        SealedPixels(tmp_path / "pixels.npy", ["x"] * 5, finished=tmp_path / "finished.json")


def test_a_file_that_is_cut_while_it_is_open_is_refused(tmp_path: Path) -> None:
    """Reading the map behind the file's end would end the process."""
    items = np.arange(40000, dtype=np.uint8).reshape(4, 1, 100, 100)
    np.save(tmp_path / "pixels.npy", items)
    finished = tmp_path / "finished.json"
    finished.write_text("{}")
    pixels = SealedPixels(tmp_path / "pixels.npy", [item_digest(item) for item in items], finished=finished)
    assert pixels[3].shape == (1, 100, 100)
    os.truncate(tmp_path / "pixels.npy", 20000)
    with pytest.raises(DamagedError) as refused:
        pixels[3]
    assert str(refused.value) == (
        f"{tmp_path}/pixels.npy has 20000 bytes in place of 40128: another program has cut or changed it\n"
        "  hint: run the same command again: all items are prepared again"
    )
    assert not finished.exists()
