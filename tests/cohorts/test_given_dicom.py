"""Training and held-out DICOM files in two folders: who is on both sides, by the tag PatientID."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice

from benchmark.cohorts.given_split import GivenSplit
from benchmark.core.errors import UsageError
from benchmark.datasets.folder.dataset import Folder


def films(folder: Path, patients: list[int], names: str = "{:04d}.dcm") -> Path:
    for number, patient in enumerate(patients):
        tags = {"PatientID": f"P{patient:03d}", "Modality": "CR", "SeriesInstanceUID": None}
        write_slice(folder / names.format(number), np.full((8, 8), number, np.uint16), **tags)
    return folder


def split(tmp_path: Path, **options: str) -> GivenSplit:
    return GivenSplit(dataset=Folder(**options), train=tmp_path / "train", heldout=tmp_path / "heldout")  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["", "patient-id"])
def test_patients_by_tag_are_numbered_in_both_folders_together(tmp_path: Path, pattern: str) -> None:
    films(tmp_path / "train", [7, 7, 3, 4, 5, 6, 8, 9])
    films(tmp_path / "heldout", [1, 1, 2, 11, 12, 13, 14, 15])
    given = split(tmp_path, group_pattern=pattern)
    subjects = [source.subject for source in given.sources(given.root)]
    assert subjects[0] == subjects[1]
    assert len(set(subjects)) == 14


def test_a_patient_on_both_sides_by_the_tag_is_refused(tmp_path: Path) -> None:
    films(tmp_path / "train", [7, 7, 3, 4, 5, 6, 8, 9])
    films(tmp_path / "heldout", [1, 1, 2, 11, 12, 13, 14, 9])
    given = split(tmp_path)
    with pytest.raises(UsageError, match="1 patient is in the folder of training images and in that of held-out"):
        given.sources(given.root)


def test_a_patient_of_two_names_on_two_sides_is_refused(tmp_path: Path) -> None:
    films(tmp_path / "train", list(range(8)), "A{:03d}/film.dcm")
    films(tmp_path / "heldout", [20, 21, 22, 23, 24, 25, 26, 3], "B{:03d}/film.dcm")
    given = split(tmp_path, group_pattern="folder")
    with pytest.raises(UsageError, match="held-out images: A003"):
        given.sources(given.root)


def test_a_tag_that_is_equal_everywhere_says_nothing(tmp_path: Path) -> None:
    films(tmp_path / "train", [1] * 8, "A{:03d}/film.dcm")
    films(tmp_path / "heldout", [1] * 8, "B{:03d}/film.dcm")
    given = split(tmp_path, group_pattern="folder")
    assert len({source.subject for source in given.sources(given.root)}) == 16
