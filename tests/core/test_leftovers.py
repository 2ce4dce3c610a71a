"""Temporary files: those of living processes stay, those of dead ones go; and the reasons why a file is not written."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.core import leftovers
from benchmark.core.errors import MachineError
from benchmark.core.files import atomic_write
from benchmark.core.leftovers import JOURNAL, remove_leftovers, temporary_name, visit, visited
from benchmark.core.locks import held_for_cache

DEAD = "from benchmark.core.leftovers import temporary_name; print(temporary_name('scan.npy'))"


@pytest.fixture
def dead() -> str:
    """A name that a process has chosen which no longer lives."""
    done = subprocess.run([sys.executable, "-c", DEAD], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    return done.stdout.strip()


def test_what_dead_processes_left_is_removed(tmp_path: Path, dead: str) -> None:
    mine, below = tmp_path / temporary_name("scan.npy"), tmp_path / "below"
    for folder in (tmp_path / dead, mine, below / dead):
        folder.mkdir(parents=True)
        (folder / "pixels.npy").write_text("")
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, "below"])
    remove_leftovers(tmp_path, below=True)
    assert [path.name for path in below.iterdir()] == []
    assert mine.exists()


def test_a_process_with_the_same_number_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / temporary_name("scan.npy")
    mine.write_text("")
    monkeypatch.setattr(leftovers, "_started", lambda pid: "ffff")
    remove_leftovers(tmp_path)
    assert not mine.exists()


def test_files_of_other_machines_go_after_a_day(tmp_path: Path) -> None:
    for name, age in (("new", 0), ("old", 2 * 24 * 3600)):
        part = tmp_path / f".{name}.npy.00000000-1-1-00000000.part"
        part.write_text("")
        os.utime(part, (time.time() - age,) * 2)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".new.npy.00000000-1-1-00000000.part"]


def test_the_journal_names_each_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOURNAL, str(tmp_path / "journal"))
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "a"):
        folder.mkdir(exist_ok=True)
        visit(folder)
    assert visited(tmp_path / "journal") == [tmp_path / "a", tmp_path / "b"]


@pytest.fixture
def at_most() -> Iterator[int]:
    """Let no file of this process be larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_library_that_hides_the_reason_is_asked_for_it(tmp_path: Path, at_most: int) -> None:
    """torch.save reports a full disk as a RuntimeError."""

    def write() -> None:
        with atomic_write(tmp_path / "training.pt") as temporary:
            temporary.write_bytes(bytes(at_most))
            raise RuntimeError("PytorchStreamWriter failed writing file")

    with pytest.raises(MachineError) as refused:
        write()
    assert str(refused.value) == (
        f"{tmp_path}/training.pt would be larger than files may be here\n"
        "  hint: raise the limit (`ulimit -f`), or take another disk"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_caller_stays_what_it_is(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "training.pt") as temporary:
            temporary.write_bytes(b"")
            raise RuntimeError("a loss is not finite")

    with pytest.raises(RuntimeError, match="a loss is not finite"):
        write()


def test_a_cache_that_may_only_be_read_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> None:
        def acquire(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("benchmark.core.locks._acquire_flock", acquire)

    refuse(errno.EROFS)
    with held_for_cache(tmp_path / ".lock"):
        pass
    refuse(errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"), held_for_cache(tmp_path / ".lock"):
        pass
