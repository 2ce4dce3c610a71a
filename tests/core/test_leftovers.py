"""Temporary files of dead processes go at the next start; those of living ones, here or elsewhere, stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.files import require_layout
from benchmark.core.leftovers import ABANDONED_SECONDS, host, remove_leftovers, temporary_for
from benchmark.core.stages import exclusive

WRITING = """
import sys, time
from pathlib import Path
from benchmark.core.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("a patient")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that is writing runs/seed-0/samples/chunk-00000.npy."""
    place = tmp_path / "runs" / "seed-0" / "samples" / "chunk-00000.npy"
    process = subprocess.Popen([sys.executable, "-c", WRITING, place], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.part"))


def test_the_next_start_removes_what_a_killed_process_left(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    folder = tmp_path / "runs" / "seed-0"
    with exclusive(folder):
        assert len(parts(folder)) == 1, "its writer is alive"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(parts(folder)) == 1
    with exclusive(folder):
        assert parts(folder) == []


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_cache_is_cleared_of_what_dead_processes_left(tmp_path: Path) -> None:
    require_layout(tmp_path, "cache", ("cohorts", "detectors"))
    ended, alive = dead(), os.getppid()
    for name in ("cohorts/.a-1.{}.part/pixels.npy", "detectors/a-copy/.training.pt.{}.part", "digests/.b.json.{}.part"):
        for process in (ended, alive):
            place = tmp_path / name.format(f"{host()}-{process}-0a1b2c3d")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("a patient")
    (tmp_path / "cohorts" / ".a-1.part").touch()  # of another program
    require_layout(tmp_path, "cache", ("cohorts", "detectors"))
    assert parts(tmp_path) == sorted(
        [".a-1.part", *(f".{name}.{host()}-{alive}-0a1b2c3d.part" for name in ("a-1", "b.json", "training.pt"))]
    )


def test_files_of_another_computer_stay_unless_the_lock_says_that_nobody_writes(tmp_path: Path) -> None:
    other = "00000000" if host() != "00000000" else "11111111"
    new, old = (tmp_path / f".a.{other}-{dead()}-0000000{number}.part" for number in range(2))
    for path in (new, old):
        path.touch()
    os.utime(old, (0, 0))
    assert remove_leftovers(tmp_path) == []
    assert remove_leftovers(tmp_path, locked=True) == [old]
    assert new.exists()
    assert ABANDONED_SECONDS > 600


def test_the_name_of_a_temporary_file_says_whose_it_is(tmp_path: Path) -> None:
    first, second = temporary_for(tmp_path / "a.npy"), temporary_for(tmp_path / "a.npy")
    assert first != second
    assert first.name.startswith(f".a.npy.{host()}-{os.getpid()}-")
