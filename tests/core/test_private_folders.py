"""Folders of patients' data: readable by their owner alone, ignored by git; and the place of the cache."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.errors import MachineError
from benchmark.core.files import cache_folder, private_folder, require_layout

TAG = "Signature: 8a477f597d28d172789f06886806bc55"


def mode(folder: Path) -> str:
    return oct(stat.S_IMODE(folder.stat().st_mode))


def test_a_new_folder_is_private_and_ignores_itself(tmp_path: Path) -> None:
    assert subprocess.run(["git", "init", "--quiet"], cwd=tmp_path).returncode == 0
    before = os.umask(0o002)
    try:
        folder = private_folder(tmp_path / "a" / "runs")
    finally:
        os.umask(before)
    (folder / "image.png").write_text("")
    assert mode(folder) == "0o700"
    told = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "")
    assert [path.name for path in sorted(folder.iterdir())] == [".gitignore", "PRIVATE.txt", "image.png"]


def test_an_empty_folder_becomes_private_and_a_used_one_stays(tmp_path: Path) -> None:
    empty, used = tmp_path / "empty", tmp_path / "used"
    for folder in (empty, used):
        folder.mkdir(mode=0o755)
    (used / "paper.tex").write_text("")
    assert private_folder(empty) == empty
    assert mode(empty) == "0o700"
    private_folder(used)
    assert mode(used) == "0o755"
    assert [path.name for path in used.iterdir()] == ["paper.tex"]


@pytest.mark.parametrize("mask", [0o000, 0o027, 0o077])
def test_the_mode_does_not_depend_on_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        private_folder(tmp_path / "runs", inside="cohort/run")
    finally:
        os.umask(before)
    assert {mode(tmp_path / "runs"), mode(tmp_path / "runs" / "cohort" / "run")} == {"0o700"}


def test_what_is_made_inside_somebody_elses_folder_is_private(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    used = tmp_path / "used"
    used.mkdir(mode=0o755)
    (used / "paper.tex").write_text("")
    private_folder(used, inside="cohort/model/seed-0")
    assert [mode(used), mode(used / "cohort"), mode(used / "cohort" / "model" / "seed-0")] == [
        "0o755", "0o700", "0o700",
    ]  # fmt: skip
    assert (used / "cohort" / ".gitignore").read_text() == "*\n"
    told = (
        f"{used} holds other files, so its permissions stay as they are; {used / 'cohort'} can be read by you alone\n"
    )
    assert capfd.readouterr().err == told
    private_folder(used, inside="cohort/model/seed-1")
    assert mode(used / "cohort" / "model" / "seed-1") == "0o700"


def test_a_cache_in_somebody_elses_folder_keeps_its_parts_private(tmp_path: Path) -> None:
    (tmp_path / "paper.tex").write_text("")
    tmp_path.chmod(0o755)
    require_layout(tmp_path, "cache", ("cohorts", "detectors"))
    assert [mode(tmp_path), mode(tmp_path / "cohorts"), mode(tmp_path / "detectors")] == ["0o755", "0o700", "0o700"]


@pytest.mark.parametrize("lost", ["mode", "marks", "both"])
def test_a_moved_or_copied_folder_is_private_again(lost: str, tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "runs")
    (folder / "image.png").write_text("")
    if lost != "marks":
        folder.chmod(0o755)
    if lost != "mode":
        (folder / "PRIVATE.txt").unlink()  # as an earlier version left it
    private_folder(folder)
    assert mode(folder) == "0o700"
    assert (folder / "PRIVATE.txt").exists()


def test_a_shared_folder_keeps_its_permissions(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "cache")
    with (folder / "PRIVATE.txt").open("a") as marker:
        marker.write("shared\n")
    folder.chmod(0o770)
    private_folder(folder)
    assert mode(folder) == "0o770"


def test_a_cache_is_tagged_and_private(tmp_path: Path) -> None:
    require_layout(tmp_path / "cache", "cache", ("cohorts", "detectors"))
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert names == [".gitignore", "CACHEDIR.TAG", "PRIVATE.txt", "layout.json"]
    assert (tmp_path / "cache" / "CACHEDIR.TAG").read_text().splitlines()[0] == TAG
    assert mode(tmp_path / "cache") == "0o700"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(MachineError) as error:
        private_folder(tmp_path / "runs")
    assert str(error.value) == (
        f"{tmp_path / 'runs'} may not be written: Permission denied\n  hint: choose another folder, or its permissions"
    )


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEMOBENCH_CACHE", str(tmp_path / "shared"))
    assert cache_folder() == tmp_path / "shared"
    assert cache_folder(Path("given")) == Path("given")
    monkeypatch.delenv("MEMOBENCH_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
        assert cache_folder() == tmp_path / "user" / "memobench"
