"""Prepared items are of the content of all files that were read: also of those that only a header names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError
from benchmark.core.types import Items, Source
from benchmark.images.readers import read_image
from benchmark.images.readers.companions import companions

HEADER = (
    "ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\nElementSpacing = 1 1\n"
    "ElementDataFile = {}.raw\n"
)


@dataclass(frozen=True)
class Headers:
    """Lists headers alone, as `luna16` does."""

    table: str = ""
    channels: tuple[str, ...] = ("grey",)

    def sources(self, root: Path) -> list[Source]:
        return [Source(subject=file.stem, name=file.stem, files=(str(file),)) for file in sorted(root.glob("*.mhd"))]

    def read(self, source: Source) -> Items:
        pixels = read_image(source.files[0]).pixels
        return Items(pixels=np.asarray(pixels, dtype=np.uint8)[None, None], names=("",))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(6):
        (folder / f"p{number}.mhd").write_text(HEADER.format(f"p{number}"))
        (folder / f"p{number}.raw").write_bytes(bytes(range(number, number + 16)))
    return folder


def prepared(root: Path, dataset: Headers | None = None) -> tuple[str, str, str]:
    """What was logged first, the digest of the files, and the cohort's key."""
    lines: list[str] = []
    cohort = prepare("toy", dataset or Headers(), root, root.parent / "cache", log=lines.append)
    return lines[-1].split(",")[0], cohort.files_key, cohort.key


def test_other_voxels_behind_a_header_are_prepared_again(root: Path) -> None:
    (done, files, key), voxels = prepared(root), root / "p3.raw"
    assert done == "toy: prepared"
    assert prepared(root) == ("toy: cached", files, key)
    before = voxels.stat()
    voxels.write_bytes(bytes(range(50, 66)))
    os.utime(voxels, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = prepared(root)
    assert again[0] == "toy: prepared"
    assert again[1] != files
    assert again[2] != key


def test_times_of_files_do_not_count(root: Path) -> None:
    first = prepared(root)
    for file in root.iterdir():
        os.utime(file, ns=(1, 1))
    assert prepared(root) == ("toy: cached", *first[1:])


def test_the_digest_of_the_files_covers_the_voxels(root: Path) -> None:
    stored = prepare_items("toy", Headers(), root, root.parent / "cache", log=lambda text: None)
    names = {(Path(file).name, bool(beside)) for file, beside in stored.files[["file", "beside"]].to_numpy()}
    assert names == {(f"p{number}.{ending}", ending == "raw") for number in range(6) for ending in ("mhd", "raw")}


def test_a_table_that_an_option_names_counts(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("1")
    dataset = Headers(table=str(table))
    assert [prepared(root, dataset)[0] for _ in range(2)] == ["toy: prepared", "toy: cached"]
    table.write_text("2")
    assert prepared(root, dataset)[0] == "toy: prepared"


def test_files_that_change_while_they_are_read_are_refused(root: Path) -> None:
    class Changing(Headers):
        def read(self, source: Source) -> Items:
            items = super().read(source)
            (root / "p0.raw").write_bytes(bytes(range(60, 76)))
            return items

    with pytest.raises(BadDataError) as caught:
        prepared(root, Changing())
    assert str(caught.value) == ("files of toy have changed while they were read\n  hint: run the same command again")
    assert not list((root.parent / "cache" / "cohorts").glob("toy-*"))


def test_files_that_belong_to_a_header(tmp_path: Path) -> None:
    for name in ("a.hdr", "a.img", "b.hdr", "b.img.gz", "c.png", "d.mha"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "e.nhdr").write_text(
        "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 4 4\nencoding: raw\ndata file: e.raw\n\n"
    )
    (tmp_path / "e.raw").write_bytes(bytes(16))
    names = {file.name: [one.name for one in companions(file)] for file in sorted(tmp_path.iterdir())}
    assert {name: own for name, own in names.items() if own} == {
        "a.hdr": ["a.img"], "b.hdr": ["b.img.gz"], "e.nhdr": ["e.raw"],
    }  # fmt: skip
