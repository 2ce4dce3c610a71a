"""A file that ends the process that reads it costs this file, not the preparation."""

from __future__ import annotations

from pathlib import Path

import pytest
from ending_dataset import Ending

from benchmark.cohorts import parallel_read
from benchmark.core.types import Source


@pytest.mark.parametrize("names", [
    ["a", "b", "fatal1", "c", "d", "e", "f", "g"],
    ["a", "fatal1", "fatal2"],
    ["fatal1", "a"],
], ids=["one among others", "the last two", "the first"])  # fmt: skip
def test_a_file_that_ends_its_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setenv(parallel_read.ALLOWED, "1")
    monkeypatch.setattr(parallel_read, "WORTH_PROCESSES", -1.0)
    (tmp_path / "file").write_text("content")
    sources = [Source(name, name, (str(tmp_path / "file"),)) for name in names]
    readings = list(parallel_read.read_all(Ending(), sources, workers=2))
    assert [reading.source.name for reading in readings] == names
    for name, reading in zip(names, readings, strict=True):
        if name.startswith("fatal"):
            assert str(reading.error) == (
                f"{tmp_path}/file ended the process that read it: its decoder crashed, or the memory was full"
                "\n  hint: convert it with another program, or leave it out"
            )
        else:
            assert reading.items is not None
            assert reading.items.names == (name,)


def test_a_process_that_is_ended_from_outside_costs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system ends a process when memory is short, twice here: a cohort must not lose images for that."""
    monkeypatch.setenv(parallel_read.ALLOWED, "1")
    monkeypatch.setattr(parallel_read, "WORTH_PROCESSES", -1.0)
    (tmp_path / "file").write_text("content")
    sources = [Source(name, name, (str(tmp_path / "file"),)) for name in ("a", "twice", "b", "c")]
    readings = list(parallel_read.read_all(Ending(), sources, workers=2))
    assert [(reading.source.name, reading.error) for reading in readings] == [
        ("a", None), ("twice", None), ("b", None), ("c", None),
    ]  # fmt: skip
    assert (tmp_path / "file-twice").read_text() == "xxx"
