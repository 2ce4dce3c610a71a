"""Digests in memory: a file that was replaced together with the digest next to it is seen."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from benchmark.core import sealed
from benchmark.core.errors import DamagedError
from benchmark.core.sealed import (
    is_intact,
    noting,
    read_sealed_json,
    remove_sealed,
    seal,
    sealed_write,
    seals,
    write_sealed_json,
)


def replaced(path: Path, text: str = "others") -> None:
    """What another process does that knows the code: new content, and the digest that belongs to it."""
    path.write_text(text)
    path.with_name(f".{path.name}.seal").write_text(hashlib.sha256(text.encode()).hexdigest() + "\n")


def write(path: Path, text: str = "ours") -> Path:
    with sealed_write(path) as temporary:
        temporary.write_text(text)
    return path


def test_what_this_process_has_written_is_remembered(tmp_path: Path) -> None:
    with noting(tmp_path):
        path = write(tmp_path / "below" / "file")
        replaced(path)
        assert not is_intact(path)
        write(path, "ours again")
        assert is_intact(path)
        replaced(path)
    assert is_intact(path), "outside of the block the digest next to it is all there is"


def test_what_was_there_before_is_remembered(tmp_path: Path) -> None:
    path = write(tmp_path / "file")
    with noting(tmp_path):
        assert is_intact(path)
        replaced(path)
        assert not is_intact(path)


def test_folders_may_be_removed_while_a_folder_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / name / "file") for name in ("a", "b")]

    def removing(place: Path) -> tuple[str, ...]:
        digests = seals(place)
        for path in paths:
            if path != place:
                shutil.rmtree(path.parent)
        return digests

    monkeypatch.setattr(sealed, "seals", removing)
    with noting(tmp_path):
        monkeypatch.undo()
        (left,) = [path for path in paths if path.exists()]
        replaced(left)
        assert not is_intact(left)


def test_what_comes_from_elsewhere_has_the_digest_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "noted").mkdir()
    with noting(tmp_path / "noted"):
        for path in (tmp_path / "noted" / "new", tmp_path / "noted-not" / "file"):
            write(path)
            remove_sealed(path)
            replaced(path)
            assert is_intact(path)


def test_with_a_folder_all_that_was_in_it_is_forgotten(tmp_path: Path) -> None:
    owned, other = tmp_path / "samples", write(tmp_path / "samples-not" / "file")
    with noting(tmp_path):
        path = write(owned / "below" / "file")
        remove_sealed(owned)
        path.parent.mkdir(parents=True)
        path.write_text("ours")
        assert seals(path) == (), "a stage would take it for what it has written"
        replaced(other)
        assert not is_intact(other)


def test_what_something_else_has_written_is_remembered_when_it_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with noting(tmp_path):
        path.write_text("ours")
        seal(path)
        replaced(path)
        assert not is_intact(path)


def test_equal_folders_are_noted_one_by_one(tmp_path: Path) -> None:
    with noting(tmp_path):
        with noting(tmp_path):
            path = write(tmp_path / "file")
        replaced(path)
        assert not is_intact(path)
    assert seals(path) != ()


def test_json_is_compared_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    with noting(tmp_path):
        write_sealed_json(path, {"a": 1})
        assert read_sealed_json(path) == {"a": 1}
        replaced(path, "{}")
        with pytest.raises(DamagedError) as refused:
            read_sealed_json(path, "do it again")
    assert str(refused.value) == f"{path} has changed since it was written\n  hint: do it again"
