"""Walking a folder: each real folder and file once, and a count of what is no image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.walk import by_folder, ending_of, is_desktop, walk


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def link(place: Path, target: Path | str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def test_files_are_sorted_and_may_be_images(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.PNG", "b/1.nii.gz", "a.dcm", "c/IM0001", "c/1.2.840.5", "c/MR.x.7", "b/deep/er/x.npy")
    assert walk(tmp_path).files == [
        "a.dcm", "b/1.nii.gz", "b/2.PNG", "b/deep/er/x.npy", "c/1.2.840.5", "c/IM0001", "c/MR.x.7",
    ]  # fmt: skip
    assert walk(tmp_path).remarks() == {}
    assert walk(tmp_path, depth=1).files == ["a.dcm", "b/1.nii.gz", "b/2.PNG", "c/1.2.840.5", "c/IM0001", "c/MR.x.7"]


def test_side_files_and_litter_are_counted(tmp_path: Path) -> None:
    fill(
        tmp_path, "a.png", "a.json", "b.JSON", "a.bval", "README", "p/DICOMDIR", "LICENSE", ".DS_Store", "._a.png",
        "Thumbs.db", "desktop.ini", "__MACOSX/a.png", "p/@eaDir/a.png", "$RECYCLE.BIN/a.png", "half.png.tmp", "~$a.png",
        "model.safetensors", "brain.mgz", "films.zip", "scan.Meier", ".git/x.png",
    )  # fmt: skip
    found = walk(tmp_path)
    assert found.files == ["a.png"]
    assert found.remarks() == {
        "skipped, not images: 18 (hidden and desktop files 10, .json 2, .bval 1, .safetensors 1, DICOMDIR 1, "
        "LICENSE 1, README 1, other endings 1)": [],
        "skipped, in formats that cannot be read: 2 (.mgz 1, .zip 1)": [],
    }


def test_a_name_in_an_ending_is_not_counted_by_it(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "scan.Meier_Hans", "b.jane doe")
    assert list(walk(tmp_path).remarks()) == ["skipped, not images: 2 (other endings 2)"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "z/1.png", "a/2.png")
    fill(tmp_path / "store", "3.png")
    link(root / "b" / "loop", "..")
    link(root / "b" / "self", ".")
    link(root / "again", "z")
    link(root / "stored", tmp_path / "store")
    link(root / "stored2", tmp_path / "store")
    link(root / "up", tmp_path)
    found = walk(root)
    assert found.files == ["a/2.png", "stored/3.png", "z/1.png"]
    assert found.remarks() == {
        "skipped, links to folders that are read already": ["again", "b/loop", "b/self", "stored2", "up"]
    }


def test_a_root_that_is_a_link_is_read(tmp_path: Path) -> None:
    fill(tmp_path / "real", "p/1.png")
    link(tmp_path / "root", "real")
    assert walk(tmp_path / "root").files == ["p/1.png"]


def test_two_names_of_a_file_are_one_in_a_folder_and_noted_in_two(tmp_path: Path) -> None:
    fill(tmp_path, "p/1.png", "q/2.png")
    link(tmp_path / "p" / "0.png", "1.png")
    os.link(tmp_path / "q" / "2.png", tmp_path / "q" / "3.png")
    link(tmp_path / "a" / "9.png", "../p/1.png")
    found = walk(tmp_path)
    assert found.files == ["a/9.png", "p/1.png", "q/2.png"]
    assert found.same == {"a/9.png": "p/1.png"}
    assert found.remarks() == {"skipped, second names of one file": ["q/3.png", "p/0.png"]}


def test_links_to_nothing_and_pipes(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    link(tmp_path / "b.png", "nowhere.png")
    os.mkfifo(tmp_path / "c.png")
    found = walk(tmp_path)
    assert found.files == ["a.png"]
    assert found.remarks() == {
        "skipped, not images: 1 (other endings 1)": [],
        "left out, links to files that do not exist": ["b.png"],
    }


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose folder `shut` cannot be listed, also for root, whom permissions do not stop."""
    fill(tmp_path, "open/a.png", "shut/b.png")
    listed: Callable[..., object] = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return tmp_path


def test_folders_that_cannot_be_opened_are_named(closed: Path) -> None:
    found = walk(closed)
    assert found.files == ["open/a.png"]
    assert found.remarks() == {"left out, folders and files that cannot be opened": ["shut"]}
    with pytest.raises(BadDataError) as caught:
        found.require_readable()
    assert str(caught.value) == (
        f"{closed}/shut cannot be opened: permission denied\n  hint: change its permissions, or move it elsewhere"
    )


def test_the_folder_data_set_names_a_closed_folder_and_a_model_refuses_it(closed: Path) -> None:
    from benchmark.cohorts.dicom_datasets import dicom_folders
    from benchmark.datasets.folder.dataset import Folder
    from benchmark.models.folder.adapter import ImageFolder

    assert Folder(group_pattern="none").remarks(closed)["left out, folders and files that cannot be opened"] == ["shut"]
    adapter = ImageFolder(str(closed))
    for read in (lambda: adapter.open("cpu"), lambda: dicom_folders(closed)):
        with pytest.raises(BadDataError, match="shut cannot be opened: permission denied"):
            read()


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a.NII.GZ", ".nii.gz"), ("a.b.png", ".png"), ("IM0001", ""), ("1.2.840.10", ""), (".png", ""), ("p.q/IM1", "")],
)
def test_endings(name: str, ending: str) -> None:
    assert ending_of(name) == ending


def test_names_of_desktops() -> None:
    assert not any(map(is_desktop, ("a.png", "Thumbs.png", "temp", "MACOSX", "a~b.png")))


def test_by_folder() -> None:
    assert list(by_folder(["a/1", "a/2", "b"])) == [("a", ["a/1", "a/2"]), ("", ["b"])]


def test_names_that_are_not_utf8_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    try:
        fill(tmp_path, os.fsdecode(b"M\xfcller/b.png"), os.fsdecode(b"\xe9.png"))
    except OSError:
        pytest.skip("this file system has no such names")
    assert walk(tmp_path).files == ["a.png"]
    assert walk(tmp_path).remarks() == {
        "left out, folders and files whose names are not UTF-8 (rename them)": ["M\\xfcller", "\\xe9.png"]
    }
