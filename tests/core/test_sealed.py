"""Sealed files and folders: every change is seen, and no kill leaves a file that is taken for damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.core import file_digests, files, sealed
from benchmark.core.errors import DamagedError
from benchmark.core.sealed import (
    is_intact,
    read_sealed_json,
    remove_sealed,
    require_intact,
    sealed_write,
    write_sealed_json,
)


def write(path: Path, text: str = "content") -> Path:
    with sealed_write(path) as temporary:
        temporary.write_text(text)
    return path


def write_folder(path: Path) -> Path:
    with sealed_write(path) as temporary:
        (temporary / "below").mkdir(parents=True)
        (temporary / "a").write_text("a")
        (temporary / "below" / "b").write_text("b")
    return path


# Files


@pytest.mark.parametrize("reader", [is_intact, read_sealed_json])
def test_a_file_that_another_process_replaces_while_it_is_read_is_intact(
    reader: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    write_sealed_json(path, "old")

    def then_replaced(read: Callable[[Path], object]) -> Callable[[Path], object]:
        def reading(place: Path) -> object:
            content = read(place)
            if place == path:
                write_sealed_json(path, "new")
            return content

        return reading

    monkeypatch.setattr(sealed, "digest", then_replaced(sealed.digest))
    monkeypatch.setattr(sealed, "read_regular", then_replaced(files.read_regular))
    assert reader(path)
    assert path.read_text() == '"new"\n'


def test_a_file_is_intact_until_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    assert is_intact(path)
    assert require_intact(path) == path
    for content in (b"Content", b"conten", b"contents", b""):
        path.write_bytes(content)
        assert not is_intact(path)
    path.write_bytes(b"content")
    assert is_intact(path)


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    before = path.stat()
    assert is_intact(path)
    path.write_bytes(b"cOntent")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_intact(path)


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "file")
    read: list[Path] = []
    true_digest = file_digests.hashlib.file_digest

    def count(file: object, name: str) -> object:
        read.append(path)
        return true_digest(file, name)

    monkeypatch.setattr(file_digests.hashlib, "file_digest", count)
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", -1.0)
    assert is_intact(path)
    assert is_intact(path)
    assert len(read) == 1


def test_damage_is_named(tmp_path: Path) -> None:
    changed, plain, missing = write(tmp_path / "changed"), tmp_path / "plain", tmp_path / "missing"
    changed.write_text("other")
    plain.touch()
    for path, why in (
        (changed, "has changed since it was written"),
        (plain, "has no digest next to it"),
        (missing, "is missing"),
    ):
        with pytest.raises(DamagedError) as error:
            require_intact(path)
        assert str(error.value) == f"{path} {why}\n  hint: run the same command again: it is made again"
        assert error.value.exit_code == 4


def test_a_seal_of_another_file_does_not_fit(tmp_path: Path) -> None:
    path, other = write(tmp_path / "file"), write(tmp_path / "other", "text")
    (tmp_path / ".other.seal").replace(tmp_path / ".file.seal")
    assert not is_intact(path)
    assert not is_intact(other)


def test_a_damaged_seal_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    (tmp_path / ".file.seal").write_bytes(b"\xff\x00")
    assert not is_intact(path)


@pytest.mark.parametrize("after", range(3))
def test_a_kill_while_a_file_is_replaced_leaves_it_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Renames, in their order: the seal of both, the file, the seal of the new one."""
    path, done, true_replace = write(tmp_path / "file", "old"), 0, Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        return true_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new")
    monkeypatch.undo()
    assert is_intact(path)
    assert path.read_text() == ("new" if after == 2 else "old")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".file.seal", "file"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "file", "old")

    def fail() -> None:
        with sealed_write(path) as temporary:
            temporary.write_text("new")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert is_intact(path)
    assert path.read_text() == "old"


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    write_sealed_json(path, {"a": [1, 2.5, None]})
    assert read_sealed_json(path) == {"a": [1, 2.5, None]}
    path.write_text(path.read_text().replace("2.5", "2.6"))
    with pytest.raises(DamagedError) as error:
        read_sealed_json(path, "do this")
    assert str(error.value) == f"{path} has changed since it was written\n  hint: do this"


def test_removed_files_leave_no_seal(tmp_path: Path) -> None:
    remove_sealed(write(tmp_path / "file"))
    remove_sealed(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


# Folders


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a").write_text("b"),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "c").write_text("c"),
        lambda folder: (folder / "a").rename(folder / "z"),
        lambda folder: (folder / "below" / "b").rename(folder / "b"),
    ],
)
def test_any_change_in_a_folder_is_seen(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    folder = write_folder(tmp_path / "folder")
    assert is_intact(folder)
    damage(folder)
    assert not is_intact(folder)


def test_a_folder_that_moves_with_its_seal_stays_intact(tmp_path: Path) -> None:
    write_folder(tmp_path / "runs" / "folder")
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert is_intact(tmp_path / "moved" / "folder")
