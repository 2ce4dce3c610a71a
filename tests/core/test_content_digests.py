"""Digests of content: equal size and time hide no change, unchanged files are not read again, options count."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.core import file_digests
from benchmark.core.content_digests import READ_AGAIN, kept_in, option_digests, tree_digest
from benchmark.core.content_digests import file_digests as digests_of


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes are read; what is read is remembered at once."""
    names: list[str] = []
    true_digest = file_digests.hashlib.file_digest

    def count(file: object, name: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return true_digest(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(file_digests.hashlib, "file_digest", count)
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", -1.0)
    return names


def changed_in_place(path: Path, content: bytes) -> None:
    """Write other bytes and set the times of before: size and time of content are equal."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replaced(path: Path, content: bytes) -> None:
    """Put another file of equal size and time in its place."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [changed_in_place, replaced])
def test_another_content_of_equal_size_and_time_is_seen(tmp_path: Path, opened: list[str], change: object) -> None:
    path, kept = tmp_path / "a.raw", tmp_path / "kept.json"
    path.write_bytes(b"first")
    before = digests_of([path], kept=kept)[path]
    assert digests_of([path], kept=kept)[path] == before
    assert opened.count("a.raw") == 1
    change(path, b"other")  # type: ignore[operator]
    file_digests._known.clear()  # as in the next process, which has the file of before
    assert digests_of([path], kept=kept)[path] != before


def test_a_file_written_a_moment_ago_is_read_each_time(tmp_path: Path) -> None:
    """A write within the same tick of the clock leaves the same times: nothing is remembered until it is over."""
    path = tmp_path / "a"
    path.write_bytes(b"first")
    digests_of([path])
    assert str(path) not in file_digests._known


def test_another_process_does_not_read_what_is_kept(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, kept = tmp_path / "data", kept_in(tmp_path / "cache", tmp_path / "data")
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(20)]
    for path in paths:
        path.write_bytes(path.name.encode())
    before = digests_of(paths, kept=kept)
    for again in (0, 0, 20):
        file_digests._known.clear()
        opened.clear()
        if again:
            monkeypatch.setenv(READ_AGAIN, "1")
        assert digests_of(paths, kept=kept) == before
        assert len([name for name in opened if name.endswith(".png")]) == again


def test_a_damaged_memory_of_digests_is_not_used(tmp_path: Path, opened: list[str]) -> None:
    path, kept = tmp_path / "a", tmp_path / "kept.json"
    path.write_bytes(b"first")
    true = digests_of([path], kept=kept)[path]
    kept.write_text(kept.read_text().replace(true[:8], "00000000"))
    file_digests._known.clear()
    assert digests_of([path], kept=kept)[path] == true


def test_a_folder_is_the_names_and_contents_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    (folder / "below").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "below" / "weights").write_bytes(b"12")
    seen = [tree_digest(folder)]
    (folder / "config.json").write_text('{"eps": 1}')
    seen.append(tree_digest(folder))
    (folder / "below" / "weights").rename(folder / "below" / "other")
    seen.append(tree_digest(folder))
    (folder / ".hidden").touch()
    seen.append(tree_digest(folder))
    assert len(set(seen)) == 4
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").touch()
    assert tree_digest(folder) == seen[-1]


@dataclass
class Options:
    """Options of some plugin: nothing says which of them are paths."""

    weights: str = ""
    mode: str = "auto"
    tables: tuple[str, ...] = ()
    size: int = 3


def test_every_file_that_an_option_names_counts(tmp_path: Path) -> None:
    folder, table = tmp_path / "model", tmp_path / "a.csv"
    folder.mkdir()
    table.write_text("1")
    assert option_digests(Options()) == {}
    assert option_digests(Options(weights="x" * 5000, mode="a\0b")) == {}
    options = Options(str(folder), "auto", (str(table),))
    first = option_digests(options)
    assert set(first) == {"weights", "tables.0"}
    (folder / "config.json").write_text("{}")
    table.write_text("2")
    second = option_digests(options)
    assert all(first[name] != second[name] for name in first)
    assert set(option_digests({"inner": options}, folders=False)) == {"inner.tables.0"}
