"""What of a folder is listed: tables next to images, links, DICOM exports with more than scans in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import enhanced, write_series, write_slice

from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, UsageError
from benchmark.datasets.folder.dataset import Folder

FROM_TABLE = "patients, from a table next to the images"


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refusal(read: Callable[[], object], kind: type[BenchError]) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def subjects(root: Path, **options: str) -> dict[str, str]:
    return {source.name: source.subject for source in Folder(**options).sources(root)}  # type: ignore[arg-type]


# Tables


@pytest.mark.parametrize(
    ("place", "header"),
    [
        ("patients.csv", "file,patient"),
        ("patients.csv", "patient_id,site,filename"),
        ("tables/meta.csv", "Image Index,Patient ID"),
        ("rsna.csv", "image_id,patientId"),
        ("liste.csv", "Datei,Patienten-Nr"),
        ("title.csv", "Export\n\nFile Name,Patient ID"),
        ("excel.csv", "sep=,\nimage-id,PATIENT NUMBER"),
        ("meta.csv", "ImagePath,SubjectID"),
        ("meta.csv", "FILE,PATIENT"),
    ],
)
def test_a_table_next_to_the_images_is_found(tmp_path: Path, place: str, header: str) -> None:
    fill(tmp_path, *(f"images/{number}.png" for number in range(6)))
    rows = {"file": "{k}.png", "patient": "P{p}", "site": "x"}
    columns = [
        "patient" if name.lower()[0] in "ps" and name != "site" else name for name in header.splitlines()[-1].split(",")
    ]
    columns = [name if name in ("patient", "site") else "file" for name in columns]
    lines = [",".join(rows[column].format(k=k, p=k // 2) for column in columns) for k in range(5)]
    write(tmp_path / place, "\n".join([header, *lines]) + "\n")
    assert subjects(tmp_path) == {f"images/{k}": f"P{k // 2}" for k in range(5)}
    assert Folder().remarks(tmp_path) == {
        FROM_TABLE: [place], "left out, not in the table": ["images/5.png"], "skipped, not images: 1 (.csv 1)": [],
    }  # fmt: skip


def test_a_table_gives_labels_and_splits_and_may_list_findings(tmp_path: Path) -> None:
    fill(tmp_path, "images/a.png", "images/B.PNG", "images/c.png")
    rows = [
        "images/a.png,1,sick,train",
        "images\\b.png,2,well,test",
        "images/c.png,3,well,test",
        "images/c.png,3,sick,test",
    ]
    write(tmp_path / "t.csv", "\n".join(["file,patient,label,split", *rows]))
    assert [(source.name, source.subject, source.label, source.group) for source in Folder().sources(tmp_path)] == [
        ("images/B", "2", "well", "test"), ("images/a", "1", "sick", "train"), ("images/c", "3", "well", "test"),
    ]  # fmt: skip


def test_a_pattern_comes_before_a_table_that_was_not_given(tmp_path: Path) -> None:
    fill(tmp_path, "P1_a.png", "P1_b.png", "P2_a.png")
    write(tmp_path / "t.csv", "file,patient\nP1_a.png,x\n")
    assert subjects(tmp_path, group_pattern="P[0-9]") == {"P1_a": "P1", "P1_b": "P1", "P2_a": "P2"}


def test_tables_of_other_things_are_no_tables_of_patients(tmp_path: Path) -> None:
    fill(tmp_path, *(f"P{number}/1.png" for number in range(5)))
    write(tmp_path / "ages.csv", "patient,age\nP1,5\n")
    write(tmp_path / "elsewhere.csv", "file,patient\nother.png,1\n")
    write(tmp_path / "features.csv", "file,area\n1.png,3\n")
    write(tmp_path / "broken.csv", 'name,patient\n"a')
    assert len(set(subjects(tmp_path).values())) == 5


def test_a_damaged_table_of_patients_is_not_ignored(tmp_path: Path) -> None:
    fill(tmp_path, *(f"P{number}/1.png" for number in range(5)))
    write(tmp_path / "broken.csv", 'file,patient\n"a')
    assert refusal(lambda: subjects(tmp_path), BadDataError).startswith(f"{tmp_path}/broken.csv ")
    assert len(set(subjects(tmp_path, group_pattern="folder").values())) == 5


def test_a_given_table_may_name_its_columns_as_a_found_one(tmp_path: Path) -> None:
    fill(tmp_path, *(f"images/{number}.png" for number in range(4)))
    table = tmp_path / "t.csv"
    table.write_text("Image Index,Patient ID\n" + "".join(f"{number},{number // 2}\n" for number in range(4)))
    sources = Folder(table=str(table)).sources(tmp_path / "images")
    assert [source.subject for source in sources] == ["0", "0", "1", "1"]


def test_a_table_of_patients_that_fits_no_file_is_named(tmp_path: Path) -> None:
    fill(tmp_path, *(f"P{number // 2}_{number}.png" for number in range(6)))
    (tmp_path / "t.csv").write_text("file,patient\nD:\\x\\1.png,7\n")
    assert Folder().remarks(tmp_path)["not used, tables of patients that list none of these files"] == ["t.csv"]
    for number in range(6):
        (tmp_path / f"P{number // 2}_{number}.png").rename(tmp_path / f"{number}.png")
    (tmp_path / "t.csv").write_text("file,patient\nother.png,7\n")
    with pytest.raises(UsageError, match=r"; t[.]csv has patients, but for none of these files\n"):
        Folder().sources(tmp_path)


def test_two_tables_are_one_question(tmp_path: Path) -> None:
    fill(tmp_path, "images/a.png", "images/b.png")
    for name in ("one.csv", "two.csv"):
        write(tmp_path / name, "file,patient\na.png,1\nb.png,2\n")
    assert refusal(lambda: subjects(tmp_path), UsageError) == (
        f"{tmp_path} holds 2 tables with a column of files and one of patients: one.csv and two.csv"
        f"\n  hint: choose one: --set-data table={tmp_path}/one.csv"
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a.png,1\na.png,2\n",
            "lists images/a.png in lines 2 and 3 with different cells in column patient\n  hint: keep one row per file",
        ),
        (
            "a.png,1\nb.png,\n",
            (
                "has no id in column patient of line 3\n  hint: fill it in, or leave the row out; nan, NA, none, "
                "unknown and - count as empty"
            ),
        ),
    ],
)
def test_a_found_table_is_as_strict_as_a_given_one(tmp_path: Path, rows: str, message: str) -> None:
    fill(tmp_path, "images/a.png", "images/b.png")
    write(tmp_path / "t.csv", f"file,patient\n{rows}")
    assert refusal(lambda: subjects(tmp_path), BadDataError) == f"{tmp_path}/t.csv {message}"


# Links


def test_one_file_under_two_names_of_a_patient_is_one_image(tmp_path: Path) -> None:
    fill(tmp_path, *(f"P{number}/{film}.png" for number in range(3) for film in "ab"))
    os.link(tmp_path / "P0" / "a.png", tmp_path / "P0" / "again.png")
    (tmp_path / "P0" / "deeper").mkdir()
    (tmp_path / "P0" / "deeper" / "link.png").symlink_to("../b.png")
    assert [source.name for source in Folder().sources(tmp_path)] == [
        "P0/a", "P0/b", "P1/a", "P1/b", "P2/a", "P2/b",
    ]  # fmt: skip
    assert Folder().remarks(tmp_path)["skipped, second names of one file"] == ["P0/again.png"]


def test_one_file_of_two_patients_keeps_them_on_one_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        (tmp_path / "root" / f"P{number}").mkdir(parents=True)
        np.save(tmp_path / "root" / f"P{number}" / "a.npy", rng.integers(0, 255, (8, 8)).astype(np.uint8))
    (tmp_path / "root" / "P1" / "x.npy").symlink_to("../P0/a.npy")
    cohort = prepare("folder", Folder(image_size=8), tmp_path / "root", tmp_path / "cache", log=lambda text: None)
    assert {"P0 = P1"} <= {unit for part in cohort.splits for unit in part.units}


def test_a_series_linked_in_two_places_of_a_patient_is_one(tmp_path: Path) -> None:
    for number in range(3):
        fill(tmp_path, *(f"P{number}/ct/{plane}.dcm" for plane in range(5)))
    (tmp_path / "P0" / "copy").mkdir()
    for plane in range(5):
        os.link(tmp_path / "P0" / "ct" / f"{plane}.dcm", tmp_path / "P0" / "copy" / f"{plane}.dcm")
    assert [source.name for source in Folder().sources(tmp_path)] == ["P0/copy", "P1/ct", "P2/ct"]


# DICOM


def test_an_export_with_reports_and_scouts_among_the_series(tmp_path: Path) -> None:
    for number in range(4):
        place = tmp_path / f"P{number}"
        hu = np.random.default_rng(number).integers(-1000, 400, (6, 20, 20))
        write_series(place / "ct", hu, names="IM{:04d}")
        write_series(place / "scout", hu[:2], Modality="CT", names="IM{:04d}")
        fill(place, "report/SR0001.dcm", "DICOMDIR", "ct/VERSION", "notes.pdf", "ct/IM9999.json")
    folder = Folder(image_size=20, window="lung")
    assert [source.name for source in folder.sources(tmp_path)] == ["P0/ct", "P1/ct", "P2/ct", "P3/ct"]
    assert folder.remarks(tmp_path) == {
        "patients, from the folders, one each (another rule: --group-pattern)": ["P0", "P1", "P2", "P3"],
        "skipped, not images: 16 (.json 4, .pdf 4, DICOMDIR 4, VERSION 4)": [],
        "left out, folders of fewer than 4 DICOM files beside series": [
            f"P{number}/{name}" for number in range(4) for name in ("report", "scout")
        ],
    }
    assert [folder.read(source).pixels.shape for source in folder.sources(tmp_path)] == [(6, 1, 20, 20)] * 4


def test_many_radiographs_in_a_folder_are_no_series(tmp_path: Path) -> None:
    for number in range(12):
        stored = np.random.default_rng(number).integers(0, 4000, (30, 20)).astype(np.uint16)
        write_slice(tmp_path / f"p{number % 3}" / f"IM{number:04d}", stored, Modality="DX")
    folder = Folder(image_size=16)
    assert [source.subject for source in folder.sources(tmp_path)] == [f"p{number // 4}" for number in range(12)]
    assert folder.read(folder.sources(tmp_path)[0]).pixels.shape == (1, 1, 16, 16)


def test_files_without_an_ending_that_are_no_dicom_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, "p1/1.png", "p2/1.png", "p3/1.png", "notes", "p2/scan.5")
    assert "skipped, not images: 2 (no ending 2)" in Folder().remarks(tmp_path)


def test_radiographs_next_to_series_are_a_question_with_two_answers(tmp_path: Path) -> None:
    for number in range(3):
        place = tmp_path / f"P{number}"
        write_series(place / "ct", np.random.default_rng(number).integers(-1000, 400, (6, 20, 20)), names="IM{:04d}")
        stored = np.random.default_rng(number).integers(0, 4000, (30, 20)).astype(np.uint16)
        write_slice(place / "cr" / "IM0001", stored, Modality="CR")
    assert refusal(lambda: subjects(tmp_path), BadDataError) == (
        f"{tmp_path} mixes kinds of files: 3 DICOM series, 3 DICOM images"
        "\n  hint: choose one: --set-data ending=dicom-series or --set-data ending=dicom-images"
    )
    assert list(subjects(tmp_path, ending="dicom-series")) == ["P0/ct", "P1/ct", "P2/ct"]
    assert list(subjects(tmp_path, ending="dicom-images")) == ["P0/cr/IM0001", "P1/cr/IM0001", "P2/cr/IM0001"]


def test_volumes_in_one_file_and_series_are_one_kind(tmp_path: Path) -> None:
    for number in range(3):
        hu = np.random.default_rng(number).integers(-1000, 400, (6, 20, 20))
        write_series(tmp_path / f"P{number}" / "ct", hu, names="IM{:04d}")
        (tmp_path / f"P{number}" / "new").mkdir()
        enhanced(tmp_path / f"P{number}" / "new" / "all.dcm", hu)
    folder = Folder(image_size=20, window="lung")
    assert [source.name for source in folder.sources(tmp_path)][:2] == ["P0/ct", "P0/new/all"]
    assert {folder.read(source).pixels.shape for source in folder.sources(tmp_path)} == {(6, 1, 20, 20)}
