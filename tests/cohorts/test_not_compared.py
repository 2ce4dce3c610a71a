"""Which files of a folder were not compared, whatever the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmark.cohorts.not_compared import may_be_image, not_compared


@pytest.mark.parametrize("name", ["a.bmp", "a.WEBP", "a.zip", "a.pt", "IM0001", "a.1", ".a.png", "a.png~", "a.strange"])
def test_names_of_images_and_archives(name: str) -> None:
    assert may_be_image(name) == (name != "a.png~")


@pytest.mark.parametrize(
    "name", ["a.csv", "README", "DICOMDIR", ".DS_Store", "Thumbs.db", "._a.png", "a.json", "a.raw"]
)
def test_names_of_what_accompanies_images(name: str) -> None:
    assert not may_be_image(name)


def test_all_files_below_links_included_but_those_that_were_compared(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for file in (folder / "a.png", folder / "sub" / "b.png", folder / "notes.txt", elsewhere / "c.png"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "nothing")
    compared = [str(folder / "sub" / ".." / "a.png")]
    assert not_compared(folder, compared) == (
        folder / "gone.png", folder / "linked" / "c.png", folder / "sub" / "b.png"
    )  # fmt: skip
    (folder / "sub" / "b.png").rename(folder / "sub" / os.fsdecode(b"\xff.png"))
    assert len(not_compared(folder, compared)) == 3
