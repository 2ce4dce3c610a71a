"""The table that names the patient of each image: given, or found beside the images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv, require_unique
from benchmark.core.errors import BadDataError, BenchError, UsageError

COLUMNS = ("file", "patient")
OPTIONAL = ("label", "split")
FILE_NAMES = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "image_file", "image_name",
    "imagename", "img", "img_path", "Image Index", "image index",
)  # fmt: skip
PATIENT_NAMES = (
    "patient", "patient_id", "patientid", "patient id", "subject", "subject_id", "subjectid", "participant_id",
    "participant", "pid", "person", "person_id", "case_id",
)  # fmt: skip
"""Columns by which a table beside the images is recognised, in lower case."""
ENDINGS = (".csv", ".tsv")
MOST_TABLES = 50
"""With more tables in one folder, they belong to the images one by one."""


@dataclass(frozen=True)
class FoundTable:
    """A table beside the images that names patients."""

    path: Path
    rows: dict[str, dict[str, str]]
    """Name of each image it lists to its row, with the columns patient, label and split."""


def given_rows(path: Path) -> dict[str, dict[str, str]]:
    """Read the table that the user gave: file to row. Raises BadDataError, MissingDataError."""
    table = read_csv(path, COLUMNS, OPTIONAL)
    require_unique(table, "file", path)
    if (table["patient"] == "").any():
        raise BadDataError(f"{path} has a row without a patient", "fill it in, or leave the row out")
    return _by_file(table)


def find_table(root: Path, names: Iterable[str]) -> FoundTable | None:
    """Return the table in root, or in a folder below it, that has a patient for some of these images.

    Raises UsageError where there are two, BadDataError where the one has a file twice or a row without a patient.
    """
    index = _index(names)
    tables = [path for path in sorted([*root.glob("*"), *root.glob("*/*")]) if path.suffix.lower() in ENDINGS]
    candidates = [table for path in tables[:MOST_TABLES] if (table := _candidate(path, index))]
    if len(candidates) > 1:
        named = " and ".join(table.path.relative_to(root).as_posix() for table in candidates[:4])
        raise UsageError(
            f"{root} holds {len(candidates)} tables with a column of files and one of patients: {named}",
            f"choose one: --set-data table={candidates[0].path}",
        )
    return candidates[0] if candidates else None


def _candidate(path: Path, index: Mapping[str, str]) -> FoundTable | None:
    table = _read(path)
    if table is None:
        return None
    listed = table[table["file"].map(lambda file: _key(str(file)) in index)]
    if not len(listed):
        return None
    # A table of findings has several rows for an image: they are one row where they agree on the patient.
    listed = listed.drop_duplicates(["file", "patient"])
    require_unique(listed, "file", path)
    if (listed["patient"] == "").any():
        raise BadDataError(f"{path} has a row without a patient", "fill it in, or leave the row out")
    return FoundTable(path, {index[_key(file)]: row for file, row in _by_file(listed).items()})


def _read(path: Path) -> pd.DataFrame | None:
    """Return the columns file, patient, label and split of a table that has the first two under some name."""
    try:
        header = path.open("rb").readline(4096).decode("utf-8", "replace").lower()
        if not any(name in header for name in PATIENT_NAMES):
            return None  # most tables say nothing of patients, and need not be read
        spellings = _spellings((*FILE_NAMES, *PATIENT_NAMES, *OPTIONAL))
        table = read_csv(path, (), spellings)
    except (BenchError, OSError):
        return None
    table = table.rename(columns=str.lower)
    columns = {
        wanted: next((name for name in known if name in table.columns), None)
        for wanted, known in (("file", FILE_NAMES), ("patient", PATIENT_NAMES))
    }
    if None in columns.values():
        return None
    kept = {name: str(column) for name, column in columns.items()} | {
        name: name for name in OPTIONAL if name in table.columns
    }
    return pd.DataFrame({name: table[column].str.strip() for name, column in kept.items()})


def _spellings(names: Iterable[str]) -> list[str]:
    """Return names of columns as tables write them: patient_id, Patient_ID, PatientID, Patient ID, PATIENT_ID."""
    forms: list[str] = []
    for name in names:
        title = name.title()
        forms += [name, title, name.upper(), name.capitalize(), title.replace("Id", "ID"), name.replace("id", "ID")]
        forms += [title.replace("_", ""), title.replace("Id", "ID").replace("_", "")]
    return list(dict.fromkeys([*forms, "PatientId", "PatientID", "SubjectID", "imageName", "fileName", "filePath"]))


def _index(names: Iterable[str]) -> dict[str, str]:
    """Map each path, and each last part of a path that is unique, to the image, without regard to case and slashes."""
    index: dict[str, str] = {}
    last: dict[str, str | None] = {}
    for name in names:
        index[_key(name)] = name
        end = _key(name).rpartition("/")[2]
        last[end] = None if end in last else name
    return {**{end: name for end, name in last.items() if name}, **index}


def _key(file: str) -> str:
    return file.strip().replace("\\", "/").removeprefix("./").lower()


def _by_file(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    names = list(table.columns)
    return {row[0]: dict(zip(names, row, strict=True)) for row in table.itertuples(index=False, name=None)}
