"""Whatever one source does, it is refused by name, and the others are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ending_dataset import Ending

from benchmark.cohorts import parallel_read, text_files
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.ingest_log import TOO_LARGE, UNREADABLE
from benchmark.cohorts.text_files import read_text
from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.core.types import Items, Source
from benchmark.images.readers import limits
from datasets.folder.dataset import Folder


@dataclass(frozen=True)
class Raising:
    """Raises for the source `bad`."""

    error: BaseException

    def read(self, source: Source) -> Items:
        if source.name == "bad":
            raise self.error
        return Items(pixels=np.zeros((1, 1, 2, 2), np.uint8), names=(source.name,))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RecursionError("maximum recursion depth exceeded"),
            "could not be read: RecursionError: maximum recursion depth exceeded",
        ),
        (ValueError("first\nsecond"), "could not be read: ValueError: first"),
        (KeyError(), "could not be read: KeyError"),
    ],
)
def test_any_error_is_a_refusal_of_its_source(tmp_path: Path, workers: int, error: BaseException, message: str) -> None:
    sources = sources_of(tmp_path, "a", "bad", "b")
    readings = list(parallel_read.read_all(Raising(error), sources, workers=workers))  # type: ignore[arg-type]
    assert [reading.items is not None for reading in readings] == [True, False, True]
    assert str(readings[1].error) == (
        f"{tmp_path}/bad {message}\n  hint: leave it out; where the data set's `read` is code of your own, correct it"
    )


def test_too_little_memory_is_a_refusal(tmp_path: Path) -> None:
    (reading,) = parallel_read.read_all(Raising(MemoryError()), sources_of(tmp_path, "bad"))  # type: ignore[arg-type]
    assert str(reading.error) == (
        f"{tmp_path}/bad takes more memory than there is"
        "\n  hint: crop or resample it, leave it out, or use a machine with more memory"
    )


@pytest.mark.parametrize("error", [UsageError("no"), MissingDataError("gone")])
def test_an_error_of_an_option_ends_the_preparation(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        list(parallel_read.read_all(Raising(error), sources_of(tmp_path, "a", "bad")))  # type: ignore[arg-type]


def test_a_pipe_is_refused_before_a_data_set_opens_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (reading,) = parallel_read.read_all(Raising(OSError()), [Source("p", "pipe", (str(tmp_path / "pipe"),))])  # type: ignore[arg-type]
    assert str(reading.error) == f"{tmp_path}/pipe is a pipe, not a file\n  hint: leave it out"


def test_a_source_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(parallel_read.ALLOWED, "1")
    sources = sources_of(tmp_path, "a", "endless", "b")
    started = time.monotonic()
    assert len(list(parallel_read.read_all(Ending(), sources[:1], workers=2))) == 1  # type: ignore[arg-type]
    patience = math.ceil(2 + 3 * (time.monotonic() - started))  # a process has to start in it, on this machine
    monkeypatch.setattr(parallel_read, "PATIENCE_SECONDS", patience)
    readings = list(parallel_read.read_all(Ending(), sources, workers=2))  # type: ignore[arg-type]
    assert [reading.items is not None for reading in readings] == [True, False, True]
    assert str(readings[1].error) == (
        f"{tmp_path}/endless was still being read after {patience} s\n  hint: leave it out, or copy it to a faster disk"
    )


def sources_of(folder: Path, *names: str) -> list[Source]:
    for name in names:
        (folder / name).write_text("content")
    return [Source(name, name, (str(folder / name),)) for name in names]


def test_what_a_small_limit_left_out_is_read_with_a_larger_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, said = tmp_path / "data", list[str]()
    for number in range(5):
        (root / f"P{number}").mkdir(parents=True)
        side = 40 if number == 4 else 20
        np.save(root / f"P{number}/a.npy", np.arange(side * side, dtype=np.int16).reshape(side, side) + number)
    dataset = Folder(image_size=16, group_pattern="folder")

    def count(gib: float) -> int:
        said.clear()
        monkeypatch.setenv(limits.VARIABLE, str(gib))
        return len(prepare_items("folder", dataset, root, tmp_path / "cache", log=said.append).table)

    small = 2000 / 2**30
    assert count(small) == 4
    assert f"folder: {TOO_LARGE} (1.86e-06 GiB): P4/a" in said[-1]
    assert not any(UNREADABLE in line for line in said)
    assert count(small) == 4
    assert "cached" in said[0]
    assert count(2) == 5
    assert said[0].endswith(f"{TOO_LARGE} (1.86e-06 GiB), and the limit is now 2 GiB: all items are prepared again")
    assert count(small) == 5  # what is prepared takes no memory to read


def zipped(content: bytes) -> bytes:
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", content)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_compressed_table_that_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(text_files, "ANY_RATIO_BYTES", 2**16)
    path, rows = tmp_path / "table.csv", b"file,patient\n" + b"a,b\n" * 2**10
    path.write_bytes(pack(rows))
    assert len(read_text(path)) == len(rows)
    path.write_bytes(pack(bytes(2**22)))
    with pytest.raises(BadDataError) as caught:
        read_text(path)
    assert str(caught.value) == (
        f"{path} unpacks from {path.stat().st_size:,} bytes to more than a table of its size can hold"
        "\n  hint: unpack it yourself, look at it, and give the CSV file"
    )


def test_xz_that_asks_for_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "XZ_MEMORY", 2**20)
    (tmp_path / "table.csv").write_bytes(lzma.compress(b"file,patient\na,b\n", preset=9))
    with pytest.raises(BadDataError) as caught:
        read_text(tmp_path / "table.csv")
    assert str(caught.value) == (
        f"{tmp_path}/table.csv is compressed and damaged: it cannot be unpacked"
        "\n  hint: save the table again, as CSV UTF-8"
    )


def test_a_table_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(BadDataError) as caught:
        read_text(tmp_path / "table.csv")
    assert str(caught.value) == f"{tmp_path}/table.csv is a pipe, not a file\n  hint: leave it out"
