"""`--set-data table=FILE`: tables as hospitals' spreadsheets write them, from the command line to the splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner, Result

from benchmark.cli.app import app
from benchmark.cohorts.patient_ids import SAME_PATIENT
from benchmark.cohorts.patient_table import read_patient_table
from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError
from benchmark.datasets.folder.dataset import Folder

FILES = 16
"""Two images of each of eight patients."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "Mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(FILES):
        PIL.Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"P{number:03d}_a.png")
    return folder


def table_of(
    root: Path, row: Callable[[int], str], head: str = "file,patient", encoding: str = "utf-8", end: str = "\n"
) -> Path:
    path = root.parent / "table.csv"
    path.write_bytes((end.join([head, *map(row, range(FILES))]) + end).encode(encoding))
    return path


def check(root: Path, table: Path) -> Result:
    place = ["--out", str(root.parent / "checks"), "--cache", str(root.parent / "cache")]
    return CliRunner().invoke(
        app,
        [
            "datasets",
            "check",
            "folder",
            "--root",
            str(root),
            "--set-data",
            f"table={table}",
            "--image-size",
            "16",
            *place,
        ],
    )


@pytest.mark.parametrize(
    ("row", "spellings"),
    [
        (lambda k: f"P{k:03d}_a.png,{k // 2:03d}{' ' if k % 2 else ''}", "000 = '000 ', 001 = '001 '"),
        (lambda k: f"P{k:03d}_a.png,{f'{k // 2}.0' if k % 2 else k // 2}", "0 = 0.0, 1 = 1.0"),
        (lambda k: f"P{k:03d}_a.png,{'p' if k % 2 else 'P'}{k // 2:02d}", "P00 = p00, P01 = p01"),
        (lambda k: f"P{k:03d}_a.png,{k // 2:0{1 + 3 * (k % 2)}d}", "0 = 0000, 0001 = 1"),
    ],
)
def test_spellings_of_a_patient_are_joined_and_said(root: Path, row: Callable[[int], str], spellings: str) -> None:
    done = check(root, table_of(root, row))
    assert done.exit_code == 0
    said = done.stderr.splitlines()
    assert said[0] == "folder: prepared, 16 items of 8 patients"
    assert said[1].startswith(f"folder: {SAME_PATIENT}: {spellings}")
    assert said[1].endswith(" and 3 more")
    assert "counted as one patient" in done.stdout
    assert "16 of 8 patients" in done.stdout


@pytest.mark.parametrize("unknown", ["nan", "None", "-", "", "N/A"])
def test_unknown_patients_are_not_one_patient(root: Path, unknown: str) -> None:
    table = table_of(root, lambda k: f"P{k:03d}_a.png,{unknown if k % 2 else k}")
    done = check(root, table)
    assert isinstance(done.exception, BadDataError)
    assert str(done.exception) == (
        f"{table} has no id in column patient of line 3, and in 7 more"
        "\n  hint: fill it in, or leave the row out; nan, NA, none, unknown and - count as empty"
    )


def test_text_with_a_comma_is_not_dropped(root: Path) -> None:
    table = table_of(root, lambda k: f"P{k:03d}_a.png,{k // 2}{', seen' if k == 4 else ''}")
    done = check(root, table)
    assert isinstance(done.exception, BadDataError)
    assert str(done.exception) == (
        f"{table} has 3 fields in line 6, and its header 2"
        '\n  hint: put the text in double quotes if it contains the separator ",", or give each column a name'
    )


@pytest.mark.parametrize(
    ("row", "head", "encoding", "end"),
    [
        (lambda k: f"P{k:03d}_a.png;{k // 2}", "file;patient", "utf-8", "\r\n"),
        (lambda k: f"P{k:03d}_a.png;{k // 2};", "sep=;\nFile;Patient;Klasse", "utf-16", "\n"),
        (lambda k: f"{k // 2}\tP{k:03d}_a.png", "PATIENT\t FILE ", "utf-8-sig", "\r"),
        (lambda k: f".\\Mine\\p{k:03d}_A.PNG,{k // 2}", "file,patient", "utf-8", "\n"),
        (lambda k: f'"P{k:03d}_a",{k // 2}', "file,patient", "utf-8", "\r\n"),
        (lambda k: f"C:\\data\\Mine\\P{k:03d}_a.png|{k // 2}", "file|patient", "utf-8", "\n"),
    ],
)
def test_every_form_of_a_table_gives_the_same_cohort(
    root: Path, tmp_path: Path, row: Callable[[int], str], head: str, encoding: str, end: str
) -> None:
    cohorts = []
    for content in (table_of(root, lambda k: f"P{k:03d}_a.png,{k // 2}"), table_of(root, row, head, encoding, end)):
        dataset = Folder(table=str(content), image_size=16)
        cohorts.append(prepare("folder", dataset, root, tmp_path / "cache", log=lambda text: None))
        assert dataset.remarks(root) == {}
    assert cohorts[0].key == cohorts[1].key


def test_letters_of_windows_1252_in_ids(root: Path) -> None:
    done = check(root, table := table_of(root, lambda k: f"P{k:03d}_a.png,Müller {k // 2}", encoding="cp1252"))
    assert done.exit_code == 0
    assert done.stderr == (
        f"{table} is not UTF-8 (first in line 2) and was read as Windows-1252: if its text looks wrong, save it as CSV "
        "UTF-8\nfolder: prepared, 16 items of 8 patients\n"
    )


def test_files_that_the_table_or_the_folder_lacks_are_named(root: Path) -> None:
    table = table_of(root, lambda k: f"{'gone' if k == 2 else 'P'}{k:03d}_a.png,{k // 2}")
    assert Folder(table=str(table)).remarks(root) == {
        "left out, not in the table": ["P002_a.png"],
        "listed, but not on this disk": ["gone002_a.png"],
    }


def test_cells_of_the_files_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("patient,file,Split,label\n 7 , a.png ,Train,x \n8,b.png,TEST,\n9,c.png,train,y\n")
    table = read_patient_table(path, ["b.png", "a.png"], tmp_path)
    assert table.rows == {
        "a.png": {"file": "a.png", "patient": " 7 ", "label": "x", "split": "train"},
        "b.png": {"file": "b.png", "patient": "8", "label": "", "split": "test"},
    }
    assert table.absent == ("c.png",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,1,x\nA.png,2,x\n", "lists a.png in lines 2 and 3 with different cells in column patient"),
        ("a.png,1,x\nb.png,2,x\n./a.png,01,y\n", "lists a.png in lines 2 and 4 with different cells in column label"),
    ],
)
def test_a_file_with_two_different_rows_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"file,patient,label\n{rows}")
    with pytest.raises(BadDataError) as caught:
        read_patient_table(path, ["a.png", "b.png"], tmp_path)
    assert str(caught.value) == f"{path} {message}\n  hint: keep one row per file"


def test_equal_rows_of_a_file_are_one_and_said(root: Path) -> None:
    """As in tables of findings, which have one row for each."""
    table = table_of(root, lambda k: f"P{k:03d}_a.png,{k // 2:03d}\nP{k:03d}_A.PNG,{k // 2}")
    dataset = Folder(table=str(table))
    assert [source.subject for source in dataset.sources(root)] == [f"{k // 2:03d}" for k in range(FILES)]
    assert dataset.remarks(root) == {
        "in several equal rows of the table, used once": [f"P{k:03d}_a.png" for k in range(FILES)]
    }
