"""The question of an audit: what is looked at before anything is read in full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import BadDataError, UsageError
from benchmark.runs.audit_question import first_shape, grid_options


def write(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(folder / f"{number:02d}.png")
    return folder


def test_a_broken_first_file_is_skipped(tmp_path: Path) -> None:
    folder = write(tmp_path, 3)
    (folder / "00.png").write_bytes(b"no image")
    assert first_shape(folder, {}) == (20, 30)
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(BadDataError, match=r"00[.]png is not an image"):
        first_shape(folder, {})


def test_a_stack_of_planes_is_not_taken_for_a_volume_of_planes(tmp_path: Path) -> None:
    train = write(tmp_path / "train", 1)
    (tmp_path / "made").mkdir()
    np.save(tmp_path / "made" / "all.npy", np.arange(2400, dtype=np.uint16).reshape(4, 20, 30))
    with pytest.raises(UsageError) as refused:
        grid_options(train, tmp_path / "made", {}, None)
    assert str(refused.value) == (
        "the synthetic images are volumes, such as 4 x 20 x 30, and the training images planes, such as 20 x 30\n"
        "  hint: give training volumes; if a file holds many planes, save each plane as a file of its own"
    )
