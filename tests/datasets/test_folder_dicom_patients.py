"""Patients of DICOM exports: by PatientID where folders do not tell them, and folders checked by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series, write_slice

from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, UsageError
from benchmark.datasets.folder.dataset import Folder
from benchmark.images.readers import dicom_patients

BY_TAG = "patients, from the tag PatientID (another rule: --group-pattern)"
JOINED = "counted as one patient, folders with the same PatientID in their DICOM files"
SHARED = "in doubt, one PatientID in DICOM files of several patients"


def export(
    root: Path, folder: Callable[[int, int], str], ids: Iterable[str | None], *, studies: int = 2, planes: int = 4
) -> Path:
    """Write for each id the series of some studies; `folder` names the place of (patient, study)."""
    for patient, identity in enumerate(ids):
        for study in range(studies):
            uid = f"1.2.{patient}.{study}"
            pixels = np.random.default_rng(10 * patient + study).integers(0, 900, (planes, 8, 8))
            write_series(
                root / folder(patient, study), pixels, names=f"IM{patient}{study}{{:02d}}", PatientID=identity,
                StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1",
            )  # fmt: skip
    return root


def flat(patient: int, study: int) -> str:
    return "."


def people(patient: int, study: int) -> str:
    return f"Pat{patient:02}/S{study}"


def numbered(patient: int, study: int) -> str:
    return f"DICOM/ST{2 * patient + study:06}/SE000001"


def subjects(root: Path, pattern: str = "") -> list[str]:
    return [source.subject for source in Folder(group_pattern=pattern).sources(root)]


def refusal(root: Path, kind: type[BenchError] = UsageError, pattern: str = "") -> str:
    with pytest.raises(kind) as caught:
        subjects(root, pattern)
    return str(caught.value).replace(str(root), "DIR")


def question(reason: str, *answers: str) -> str:
    return (
        f"it cannot be told which images of DIR are of one patient: {reason}\n  hint: which fits? {'; '.join(answers)}"
    )


def test_a_flat_export_is_separated_by_patient_id(tmp_path: Path) -> None:
    root = export(tmp_path / "export", flat, ["007", "SMITH^J", "7 ", "12"])
    sources = Folder().sources(root)
    assert [(source.name, source.subject, len(source.files)) for source in sources] == [
        ("patient-1", "patient-1", 16), ("patient-2", "patient-2", 8), ("patient-3", "patient-3", 8),
    ]  # fmt: skip
    assert [Path(file).name for file in sources[1].files] == [f"IM1{s}{k:02}" for s in (0, 1) for k in range(1, 5)]
    assert Folder().remarks(root) == {BY_TAG: ["patient-1", "patient-2", "patient-3"]}
    split = prepare("folder", Folder(), root, tmp_path / "cache", log=str)
    parts = (split.train, split.heldout)
    assert sorted(patient for part in parts for patient in set(part.subjects)) == [
        "patient-1",
        "patient-2",
        "patient-3",
    ]


def test_folders_of_studies_are_joined_by_patient_id(tmp_path: Path) -> None:
    assert subjects(export(tmp_path, numbered, "cab")) == [f"patient-{n}" for n in (1, 1, 2, 2, 3, 3)]


def test_single_dicom_images_are_grouped_by_patient_id(tmp_path: Path) -> None:
    for number in range(6):
        tags = {"StudyInstanceUID": f"1.{number}", "SeriesInstanceUID": f"1.{number}.1"}
        pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
        write_slice(tmp_path / f"{number}.dcm", pixels, Modality="CR", PatientID=f"A{number % 3}", **tags)
    assert subjects(tmp_path) == [f"patient-{n}" for n in (1, 2, 3, 1, 2, 3)]


def test_class_folders_keep_their_labels(tmp_path: Path) -> None:
    root = export(tmp_path, lambda patient, study: ("NORMAL", "PNEUMONIA")[patient % 2], "abcd", studies=1)
    assert {(source.name, source.subject, source.label) for source in Folder().sources(root)} == {
        ("NORMAL/patient-1", "patient-1", "NORMAL"), ("NORMAL/patient-2", "patient-2", "NORMAL"),
        ("PNEUMONIA/patient-3", "patient-3", "PNEUMONIA"), ("PNEUMONIA/patient-4", "patient-4", "PNEUMONIA"),
    }  # fmt: skip


def test_no_value_of_a_tag_has_an_influence(tmp_path: Path) -> None:
    ids = ["SECRET-9", "SECRET-1", "SECRET-5"]
    found = [(s.subject, s.name) for s in Folder().sources(export(tmp_path / "one", flat, ids))]
    assert found == [(s.subject, s.name) for s in Folder().sources(export(tmp_path / "two", flat, "bca"))]
    cohort = tmp_path / "cache"
    prepare("folder", Folder(), tmp_path / "one", cohort, log=str)
    for file in cohort.rglob("*"):
        assert not file.is_file() or b"SECRET" not in file.read_bytes()


@pytest.mark.parametrize("ids", [["ANON"] * 4, [None] * 4, ["Anonymous", "nan", None, ""], ["A1"] * 4])
def test_equal_and_empty_ids_tell_nothing(tmp_path: Path, ids: list[str | None]) -> None:
    root = export(tmp_path, flat, ids, studies=1)
    equal = "its DICOM files are of 4 studies, and PatientID is missing or the same in all DICOM files"
    answer = "--group-pattern study-id for the 4 studies if no patient has two"
    assert refusal(root) == question(equal, answer)
    assert subjects(root, "study-id") == [f"patient-{n}" for n in (1, 2, 3, 4)]
    assert set(subjects(export(tmp_path / "people", people, ids))) == {f"Pat{p:02}" for p in range(4)}


def test_ids_that_some_files_lack(tmp_path: Path) -> None:
    root = export(tmp_path, flat, ["a", "b", None, "c"], studies=1)
    reason = "its DICOM files are of 4 studies, and PatientID is missing in 4 of 16 DICOM files"
    assert refusal(root) == question(reason, "--group-pattern study-id for the 4 studies if no patient has two")
    assert refusal(root, BadDataError, "patient-id") == (
        "DIR/IM2001 has no PatientID\n  hint: choose another --group-pattern"
    )


def test_folders_with_one_patient_id_are_joined(tmp_path: Path) -> None:
    root = export(tmp_path, people, ["a", "b", "c", "A ", None])
    assert set(subjects(root)) == {"Pat00", "Pat01", "Pat02", "Pat04"}
    assert Folder().remarks(root)[JOINED] == ["Pat00 = Pat03"]


@pytest.mark.parametrize("pattern", ["folder:1", "none", "Pat[0-9]+", "study-id"])
def test_one_patient_id_under_two_patients_of_the_user_is_said(tmp_path: Path, pattern: str) -> None:
    root = export(tmp_path, people, ["a", "b", "c", "a"], studies=1)
    assert len(set(subjects(root, pattern))) == 4
    (pair,) = Folder(group_pattern=pattern).remarks(root)[SHARED]
    assert len(set(pair.split(" = "))) == 2
    assert SHARED not in Folder(group_pattern="patient-id").remarks(root)


def test_several_patient_ids_in_one_folder_are_asked_about(tmp_path: Path) -> None:
    root = export(tmp_path, lambda patient, study: f"Pat{patient // 2:02}/{patient}{study}", "abcdef")
    basis = "their numbers in the names of the folders"
    assert refusal(root) == question(
        f"by {basis}, 3 of 3 patients have DICOM files with several PatientIDs",
        "--group-pattern patient-id for the 6 patients by this tag",
        "--group-pattern folder:1 for the 3 patients Pat00, Pat01 ...",
        "--group-pattern folder:2 for the 12 patients 00, 01 ...",
        "--group-pattern none if each image is of another patient",
    )
    assert len(set(subjects(root, "patient-id"))) == 6
    assert set(subjects(root, "folder:1")) == {"Pat00", "Pat01", "Pat02"}


def test_an_id_of_a_trial_joins_nobody(tmp_path: Path) -> None:
    root = export(tmp_path, people, ["T1", "T1", "T1", "T2", "T2"], studies=1)
    assert refusal(root).startswith(
        question("by their numbers in the names of the folders, 5 patients have DICOM files with only 2 PatientIDs", "")
    )


def test_ids_that_change_within_a_series_are_not_used(tmp_path: Path) -> None:
    root = export(tmp_path, flat, "abcd", studies=1)
    for number in range(4):
        uid = f"1.2.{number}.0"
        tags = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "ImagePositionPatient": [0, 0, 99]}
        write_slice(root / f"X{number}", np.full((8, 8), 7, np.uint16), PatientID=f"random{number}", **tags)
    reason = "its DICOM files are of 4 studies, and PatientID differs between the files of one study or series"
    assert refusal(root) == question(reason, "--group-pattern study-id for the 4 studies if no patient has two")
    assert refusal(root, BadDataError, "patient-id") == (
        "PatientID differs between the files of one series\n  hint: choose another --group-pattern"
    )


def test_tags_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert refusal(tmp_path, UsageError, "patient-id") == (
        "group_pattern patient-id needs DICOM files\n  hint: choose folder, none or a regular expression"
    )


def test_a_folder_of_one_patient_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = export(tmp_path, people, "abc", planes=20)
    read: list[Path] = []
    monkeypatch.setattr(dicom_patients, "_tags", lambda path: read.append(path) or [path.parts[-3], "", ""])
    assert len(set(subjects(root))) == 3
    assert len(read) == 3 * 6
