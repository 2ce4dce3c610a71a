"""Images at the size of their files: the file where an item is the whole of it, else what was stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from benchmark.cohorts.full_size import opener
from benchmark.cohorts.store import Stored


def stored(folder: Path, channels: int) -> Stored:
    """Two items of 4 x 4 pixels, each from a file of 16 x 16 pixels."""
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png"]
    for name in names:
        PIL.Image.fromarray(rng.integers(1, 256, (16, 16)).astype(np.uint8)).save(folder / name)
    return Stored(
        pixels=rng.integers(0, 256, (2, channels, 4, 4)).astype(np.uint8),
        table=pd.DataFrame({"source": names, "item": names}),
        files=pd.DataFrame({"source": names, "file": [str(folder / name) for name in names], "beside": False}),
        folder=folder,
        channels=tuple(f"c{number}" for number in range(channels)),
        spacing_mm=(),
        remarks={},
    )


def test_an_image_with_one_channel_is_its_file(tmp_path: Path) -> None:
    opened = opener(stored(tmp_path, 1), np.array([1, 0]))(0)
    assert np.array_equal(opened, np.asarray(PIL.Image.open(tmp_path / "b.png")))


def test_channels_are_returned_as_stored(tmp_path: Path) -> None:
    items = stored(tmp_path, 3)
    open_item = opener(items, np.array([1, 0]))
    for channel in range(3):
        assert np.array_equal(open_item(0, channel), items.pixels[1, channel])
    assert np.array_equal(open_item(1), items.pixels[0, 0])
