from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from benchmark.cohorts.check.report import check
from benchmark.cohorts.duplicates import find_duplicates
from benchmark.cohorts.ingest import prepare_items
from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.datasets.cxr_pneumonia.dataset import CxrPneumonia

NAMES = (
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "val/PNEUMONIA/person1_bacteria_2.jpeg",
    "test/PNEUMONIA/person1_virus_6.jpeg",
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0927-0001.jpeg",
    "test/NORMAL/NORMAL2-IM-0173-0001-0002.jpeg",
)


def make(top: Path, names: tuple[str, ...] = NAMES) -> Path:
    for place, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 256, (20, 30), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(top / name)
    return top


def read_all(root: Path) -> None:
    for source in CxrPneumonia().sources(root):
        CxrPneumonia().read(source)


def refusal(root: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_all(root)
    return str(caught.value)


@pytest.mark.parametrize("inside", ["", "chest_xray"])
def test_published_layout(tmp_path: Path, inside: str) -> None:
    make(tmp_path / inside)
    found = {(source.subject, source.label, source.group) for source in CxrPneumonia().sources(tmp_path)}
    assert found == {
        ("train+val:person1", "PNEUMONIA", "train"),
        ("train+val:person1", "PNEUMONIA", "val"),
        ("test:person1", "PNEUMONIA", "test"),
        ("train+val:IM-0115", "NORMAL", "train"),
        ("train+val:NORMAL2-IM-0927", "NORMAL", "train"),
        ("test:NORMAL2-IM-0173", "NORMAL", "test"),
    }


def test_plain_layout(tmp_path: Path) -> None:
    make(tmp_path, ("NORMAL/IM-0115-0001.jpeg", "PNEUMONIA/person1_virus_6.jpeg"))
    (tmp_path / "NORMAL" / ".DS_Store").touch()
    assert [(source.name, source.subject, source.group) for source in CxrPneumonia().sources(tmp_path)] == [
        ("NORMAL/IM-0115-0001", "IM-0115", ""),
        ("PNEUMONIA/person1_virus_6", "person1", ""),
    ]


def test_items_are_squares(tmp_path: Path) -> None:
    (source, *_) = CxrPneumonia().sources(make(tmp_path))
    items = CxrPneumonia(image_size=16).read(source)
    assert items.pixels.shape == (1, 1, 16, 16)
    assert items.pixels.dtype == np.uint8
    assert items.names == ("",)


def test_equal_size_keeps_every_pixel_and_shrinking_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    (tmp_path / "NORMAL").mkdir()
    PIL.Image.fromarray(stripes).save(tmp_path / "NORMAL" / "IM-0001-0001.png")
    (source,) = CxrPneumonia().sources(tmp_path)
    assert np.array_equal(CxrPneumonia(image_size=64).read(source).pixels[0, 0], stripes)
    assert np.abs(CxrPneumonia(image_size=16).read(source).pixels[0, 0, :, 2:-2].astype(int) - 100).max() < 12


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        CxrPneumonia().sources(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no chest X-rays: no folder chest_xray/train/NORMAL or NORMAL with .jpeg files"
        "\n  hint: give the folder that holds chest_xray, as the Kaggle download unpacks"
    )


def test_name_without_patient(tmp_path: Path) -> None:
    make(tmp_path, ("NORMAL/scan7.jpeg",))
    assert refusal(tmp_path) == (
        f"{tmp_path}/NORMAL/scan7.jpeg does not name its patient: names begin with person123_, IM-0115- or "
        "NORMAL2-IM-0927-\n  hint: give it the name of the published file, or leave it out"
    )


def test_sixteen_bits(tmp_path: Path) -> None:
    (tmp_path / "NORMAL").mkdir()
    file = tmp_path / "NORMAL" / "IM-0001-0001.png"
    PIL.Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(file)
    assert refusal(tmp_path) == (
        f"{file} holds uint16 values, 8-bit grey levels are needed\n  hint: choose another window"
    )


def test_size_that_does_not_fit() -> None:
    with pytest.raises(UsageError) as caught:
        CxrPneumonia(image_size=1)
    assert str(caught.value) == "image_size 1 does not fit a radiograph\n  hint: choose a size from 8 to 2048"


@pytest.fixture
def real(real_data: Callable[[str], Path], tmp_path: Path) -> tuple[Path, list[dict[str, str]]]:
    """The real X-rays unpacked into the published folders, and their index."""
    folder = real_data("cxr_kermany_224")
    with (folder / "index.csv").open(newline="") as table:
        index = list(csv.DictReader(table))
    groups = {row["file"]: row["official_split_reconstructed"] for row in index}
    with zipfile.ZipFile(folder / "cxr_kermany_224.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".jpeg"):
                file = tmp_path / "R1" / ("test" if groups[Path(name).name] == "test" else "train") / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.read(name))
    return tmp_path / "R1", index


def test_real_patients_labels_and_duplicates(
    real: tuple[Path, list[dict[str, str]]], tmp_path: Path, quiet: Any
) -> None:
    root, index = real
    dataset = CxrPneumonia(image_size=224)
    table = prepare_items("cxr", dataset, root, tmp_path / "cache", log=quiet).table
    files = table["item"].str.rsplit("/", n=1).str[1] + ".jpeg"
    rows = {row["file"]: row for row in index}
    assert set(files) == set(rows)
    for file, subject, label, group in zip(files, table["subject"], table["label"], table["group"], strict=True):
        assert (label, subject.split(":")[1]) == (rows[file]["label"], rows[file]["name_patient_id"])
        assert (group == "test") == (rows[file]["official_split_reconstructed"] == "test")
    published: dict[str, set[str]] = {}
    for file, row in rows.items():
        if row["exact_dup_group"]:
            published.setdefault(row["exact_dup_group"], set()).add(file)
    found = find_duplicates(table)
    assert len(published) == len(found.within) + len(found.across) == 23
    groups = {frozenset(files.iloc[list(group)]) for group in (*found.within, *found.across)}
    assert groups == {frozenset(group) for group in published.values()}
    report, _, _ = check("cxr", dataset, root, tmp_path / "cache", log=quiet)
    assert report.ok
    assert report.pixels.constant == ()
    assert sum(items for items, _ in report.splits.values()) == 4707
