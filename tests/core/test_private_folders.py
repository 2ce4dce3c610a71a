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
    assert [path.name for path in sorted(folder.iterdir())] == [".gitignore", "image.png"]


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


def test_a_cache_is_tagged_and_private(tmp_path: Path) -> None:
    require_layout(tmp_path / "cache", "cache", ("cohorts", "detectors"))
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert names == [".gitignore", "CACHEDIR.TAG", "layout.json"]
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
