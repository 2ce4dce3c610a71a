"""The question of an audit: what is looked at before anything is read in full."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import BadDataError, UsageError
from benchmark.runs.audit_question import grid_options, image_folder, shapes


def write(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(folder / f"{number:02d}.png")
    return folder


def test_a_broken_first_file_is_skipped(tmp_path: Path) -> None:
    folder = write(tmp_path, 3)
    (folder / "00.png").write_bytes(b"no image")
    assert shapes(folder, {}) == [(20, 30)]
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(BadDataError, match=r"00[.]png is not an image"):
        shapes(folder, {})


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


def test_planes_and_volumes_of_one_folder_are_compared_as_slices(tmp_path: Path) -> None:
    train, said = write(tmp_path / "train", 2), []
    volume = np.arange(4000, dtype=np.int16).reshape(20, 20, 10)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), train / "volume.nii.gz")
    nibabel.save(nibabel.Nifti1Image(volume[:, :, 4], np.eye(4)), train / "slice.nii")
    made = write(tmp_path / "made", 1)
    options = grid_options(train, made, {"ending": "any"}, None, said.append)
    assert (options["items"], options["image_size"]) == ("slices", 32)
    assert said == ["--train: planes and volumes, which are compared slice by slice"]
    dataset = image_folder(options | {"group_pattern": "none"})
    counts = {source.name: len(dataset.read(source).names) for source in dataset.sources(train)}
    assert counts == {"00": 1, "01": 1, "slice": 1, "volume": 10}
    alone, fifth = (dataset.read(source).pixels for source in dataset.sources(train)[2:])
    np.testing.assert_array_equal(alone[0, 0] > 127, fifth[4, 0] > fifth[4, 0].mean())
