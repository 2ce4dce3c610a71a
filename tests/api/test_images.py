"""What is a set of images, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import Dataset as MonaiDataset
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from benchmark.api.ranges import Values
from benchmark.api.saved import Axes, save_sets
from benchmark.core.errors import BenchError

PLANES = np.random.default_rng(0).integers(0, 256, (5, 16, 12), dtype=np.uint8)


class ByNumber:
    """A data set as PyTorch needs it, and no more: entries by number, without an end."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> Any:
        if number > 99:
            raise RuntimeError("read without an end")
        return self.entries[number % len(self.entries)]


def saved(given: Any, folder: Path, **axes: Any) -> list[np.ndarray]:
    """The images of a set, as they are compared."""
    value_range = axes.pop("value_range", None)
    sets, _ = save_sets({"train": given}, folder, Axes(**axes), value_range)
    return [np.load(path) for path in sorted(sets["train"].folder.iterdir())]


KINDS: Mapping[str, Any] = {
    "array": PLANES,
    "channels first": PLANES[:, None],
    "channels last": PLANES[..., None],
    "grey saved as colour": np.repeat(PLANES[..., None], 3, axis=3),
    "tensor": torch.from_numpy(PLANES),
    "list": list(PLANES),
    "generator": (plane for plane in PLANES),
    "(image, label)": [(plane, 1) for plane in PLANES],
    "tensor data set": TensorDataset(torch.from_numpy(PLANES[:, None]), torch.arange(5)),
    "by number": ByNumber([(torch.from_numpy(plane), "x") for plane in PLANES]),
    "dicts": [{"image": plane, "label": 0} for plane in PLANES],
    "MONAI": MonaiDataset([{"image": plane} for plane in PLANES], transform=lambda entry: entry),
    "Pillow": [(Image.fromarray(plane), 0) for plane in PLANES],
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_the_same_images(kind: str, tmp_path: Path) -> None:
    images = saved(KINDS[kind], tmp_path)
    np.testing.assert_array_equal(images, PLANES)
    assert {image.dtype for image in images} == {np.dtype("uint8")}


def test_sizes_may_differ(tmp_path: Path) -> None:
    images = [PLANES[0], PLANES[1, :10], np.pad(PLANES[2], 3)]
    for one, other in zip(saved(images, tmp_path), images, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_key_of_the_image(tmp_path: Path) -> None:
    entries = [{"t1": plane, "seg": plane * 0} for plane in PLANES]
    np.testing.assert_array_equal(saved(entries, tmp_path / "a", key="t1"), PLANES)
    assert refusal(entries, tmp_path / "b") == (
        "train[0] is a dict without 'image'; it has 't1', 'seg'\n  hint: name the one that holds the image: key=..."
    )


def test_ranges_that_differ_are_scaled_to_one(tmp_path: Path) -> None:
    signed = PLANES.astype(np.float64) / 127.5 - 1
    sets, window = save_sets(
        {"train": PLANES, "synthetic": signed}, tmp_path, Axes(), {"train": (0, 255), "synthetic": (-1, 1)}
    )
    one, other = ([np.load(path) for path in sorted(part.folder.iterdir())] for part in sets.values())
    np.testing.assert_allclose(one, other, atol=1e-7)
    np.testing.assert_allclose(one, PLANES / 255, atol=1e-7)
    assert window == "0.0,1.0"


def test_a_range_of_all_changes_no_value(tmp_path: Path) -> None:
    unit = (PLANES / 255).astype(np.float32)
    sets, window = save_sets({"train": unit, "synthetic": unit}, tmp_path, Axes(), (0, 1))
    np.testing.assert_array_equal([np.load(path) for path in sorted(sets["train"].folder.iterdir())], unit)
    assert window == "0.0,1.0"


def test_equal_images_have_equal_times_and_others_do_not(tmp_path: Path) -> None:
    times = []
    for place, images in (("a", PLANES), ("b", PLANES), ("c", PLANES[::-1])):
        sets, _ = save_sets({"train": images}, tmp_path / place, Axes(), None)
        times.append([path.stat().st_mtime_ns for path in sorted(sets["train"].folder.iterdir())])
    assert times[0] == times[1]
    assert times[0] != times[2]
    assert len(set(times[0])) == len(PLANES)


def test_files_of_a_list_are_links_with_their_endings(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        Image.fromarray(PLANES[0]).save(tmp_path / place / "0.png")
    files = [tmp_path / "a" / "0.png", str(tmp_path / "b" / "0.png")]
    sets, window = save_sets({"train": iter(files)}, tmp_path / "saved", Axes(), None)
    names = sorted(path.name for path in sets["train"].folder.iterdir())
    assert names == ["train-000000.png", "train-000001.png"]
    assert [sets["train"].name(name) for name in names] == [str(file) for file in files]
    assert window == ""


def refusal(given: Any, folder: Path, **axes: Any) -> str:
    with pytest.raises(BenchError) as refused:
        saved(given, folder, **axes)
    return str(refused.value)


def test_what_is_no_set(tmp_path: Path) -> None:
    kinds = (
        "give a folder, a list of files, an array (N, H, W) or (N, C, H, W), a list of arrays, or a PyTorch or MONAI "
        "data set"
    )
    loader = DataLoader(TensorDataset(torch.from_numpy(PLANES)))
    (tmp_path / "images.npy").write_bytes(b"")
    (tmp_path / "scan.dcm").write_bytes(b"")
    told = {
        "number": (3, f"train is of type int, which is no set of images\n  hint: {kinds}"),
        "dict": ({"image": PLANES}, f"train is of type dict, which is no set of images\n  hint: {kinds}"),
        "row": (np.zeros(3), f"train has shape (3,), which is no set of images\n  hint: {kinds}"),
        "nothing": ([], "train holds no images\n  hint: give at least one"),
        "loader": (loader, "train is a loader of batches\n  hint: give the data set itself: train.dataset"),
        "numbers": (
            [[[1, 2], [3, 4]]],
            "train[0] is of type list, which is no image\n  hint: give NumPy arrays, torch tensors or Pillow images",
        ),
        "file": (
            tmp_path / "images.npy",
            (
                f"train names the file {tmp_path}/images.npy, and a folder is needed\n"
                "  hint: give its folder, a list of files, or for an array: numpy.load(file)"
            ),
        ),
        "mixed": (
            [PLANES[0], str(tmp_path / "images.npy")],
            "train[1] is a path, and those before are images\n  hint: give paths only, or images only",
        ),
        "no file": (
            ["gone.png"],
            "train[0] is 'gone.png', and no file\n  hint: give paths of files only, or images only",
        ),
        "DICOM": (
            [tmp_path / "scan.dcm"],
            (
                f"train[0] is the DICOM file {tmp_path}/scan.dcm, and the files of a series are read together\n"
                "  hint: give their folder"
            ),
        ),
        "axes": (
            [np.zeros((1, 16, 12)), np.zeros((16, 12, 3))],
            (
                "train[1] would be read as HWC, shape (16, 12, 3), and those before as CHW\n"
                "  hint: say what the axes are: layout='NCHW', for example"
            ),
        ),
    }
    for place, (given, text) in told.items():
        assert refusal(given, tmp_path / place.replace(" ", "")) == text, place
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "folder", tmp_path / "x", value_range=(0, 1)) == (
        "value_range is for arrays, and files were given\n  hint: for files, use options={'window': 'LOW,HIGH'}"
    )


def test_values_count_what_is_outside() -> None:
    values = Values((0.0, 1.0))
    values.add(np.array([[-0.04, 0.5, 1.04, np.nan], [2.0, -3.0, 0.0, 1.0]]))
    assert (values.pixels, values.outside, values.least, values.greatest) == (7, 2, -3.0, 2.0)
