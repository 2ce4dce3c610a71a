"""`--columns`: tables whose columns have names of their own, from the command line to the patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.cohorts.column_roles import read_roles
from benchmark.cohorts.given_split import SITES_APART, GivenSplit
from benchmark.core.errors import BenchError
from benchmark.datasets.folder.dataset import Folder

ROLES_HINT = "the roles are patient, file, class, site, split"
EXAMPLE, MEANT = "write such as --columns patient=patient_id,file=source_file", "did you mean 'patient'? "
OWN = "give each role a column of its own"
COLUMNS_HINT = "--columns ROLE=COLUMN names columns as the first line of the table writes them"


def folder(place: Path, first: int, count: int = 8) -> Path:
    place.mkdir()
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        PIL.Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(place / f"{number:04d}.png")
    return place


def table(path: Path, head: str = "Source File;Study;pid;Hospital;dx", hospitals: str = "AB") -> Path:
    """Two images of each of eight patients; patients 0 to 3 of the first hospital."""
    rows = [f"{n:04d}.png;s{n};P{n // 2};{hospitals[n // 8]};{'ill' if n % 3 else 'well'}" for n in range(16)]
    path.write_text("\n".join([head, *rows]))
    return path


MAPPED = "file=source file, patient=pid, class=dx, site=Hospital"


def test_patients_classes_and_sites_are_read_from_the_columns_that_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "images", 0, 16)
    options = Folder(image_size=16, table=str(table(tmp_path / "t.csv")), columns=MAPPED)
    sources = options.sources(root)
    assert [source.subject for source in sources] == [f"P{n // 2}" for n in range(16)]
    assert [source.label for source in sources] == ["ill" if n % 3 else "well" for n in range(16)]
    assert options.remarks(root) == {"sites, from the table": ["A 8", "B 8"]}


def test_a_role_that_is_not_named_is_found_by_its_usual_names(tmp_path: Path) -> None:
    root = folder(tmp_path / "images", 0, 16)
    given = table(tmp_path / "t.csv", head="filename;patient;pid;site;split")
    patients = [source.subject for source in Folder(table=str(given), columns="patient=pid").sources(root)]
    assert patients == [f"P{n // 2}" for n in range(16)]  # not the column `patient`, which has another one each
    with pytest.raises(BenchError) as refused:
        Folder(table=str(given), columns="patient=filename").sources(root)
    assert str(refused.value) == (
        f"{given} has no column file; it has filename, patient, pid, site, split\n  hint: did you mean 'filename'? "
        f"{COLUMNS_HINT}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient", f"--columns patient is not ROLE=COLUMN\n  hint: {EXAMPLE}"),
        ("pateint=pid", f"--columns pateint=pid: there is no role 'pateint'\n  hint: {MEANT}{ROLES_HINT}"),
        ("x=pid", f"--columns x=pid: there is no role 'x'\n  hint: {ROLES_HINT}"),
        ("file=a,patient=b,file=c", "--columns names the role file twice\n  hint: give one column per role"),
        ("class=pid,patient=PID", f"--columns takes the column PID twice, the first time for class\n  hint: {OWN}"),
    ],
)  # fmt: skip
def test_columns_that_say_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(BenchError) as refused:
        read_roles(text)
    assert str(refused.value) == message


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    root, given = folder(tmp_path / "images", 0, 16), table(tmp_path / "t.csv", head="file;study;patient_id;site;dx")
    with pytest.raises(BenchError) as refused:
        Folder(table=str(given), columns="patient=patientid").sources(root)
    assert str(refused.value) == (
        f"{given} has no column patientid; it has file, study, patient_id, site, dx\n  hint: did you mean "
        f"'patient_id'? {COLUMNS_HINT}"
    )


def test_columns_without_a_table_are_refused() -> None:
    with pytest.raises(BenchError) as refused:
        Folder(columns="patient=pid")
    assert str(refused.value) == (
        "--columns names columns, and there is no table\n  hint: give it, too: --set-data table=FILE.csv, or in an "
        "audit --patients FILE.csv"
    )


@pytest.mark.parametrize(("hospitals", "apart"), [("AB", ["A", "B"]), ("AA", [])])
def test_sites_of_one_side_of_a_given_split_are_said(tmp_path: Path, hospitals: str, apart: list[str]) -> None:
    sides = [folder(tmp_path / side, first) for side, first in (("train", 0), ("heldout", 8))]
    options = Folder(image_size=16, table=str(table(tmp_path / "t.csv", hospitals=hospitals)), columns=MAPPED)
    given = GivenSplit(dataset=options, train=sides[0], heldout=sides[1])
    assert given.remarks(given.root).get(SITES_APART, []) == apart


def test_the_option_of_the_command_line(tmp_path: Path) -> None:
    root, given = folder(tmp_path / "images", 0, 16), table(tmp_path / "t.csv")
    places = ["--out", str(tmp_path / "checks"), "--cache", str(tmp_path / "cache")]
    common = ["datasets", "check", "folder", "--root", str(root), "--image-size", "16", *places]
    ended = CliRunner().invoke(app, [*common, "--set-data", f"table={given}", "--columns", MAPPED])
    assert ended.exit_code == 0, ended.output
    assert "16 items of 8 patients" in ended.output
