"""The table next to the images that names the patient of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.patient_table import OPTIONAL, PatientTable, patient_rows
from benchmark.core.errors import UsageError

from .listing import Listing

FILE_NAMES = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "image_file", "image_name",
    "img", "img_path", "image_index",
)  # fmt: skip
PATIENT_NAMES = (
    "patient", "patient_id", "subject", "subject_id", "participant_id", "participant", "pid", "person", "person_id",
)  # fmt: skip
"""Columns by which a table next to the images is recognised, in lower case."""
MOST_TABLES = 50
"""With more tables in one folder, they belong to the images one by one."""


@dataclass(frozen=True)
class FoundTable:
    """A table next to the images that names patients."""

    path: Path
    rows: PatientTable


def find_table(listing: Listing) -> FoundTable | None:
    """Return the table in the root, or in a folder of it, that has a patient for some of these images.

    Raises UsageError where there are two, BadDataError where the one has a file twice or a row without a patient.
    """
    near = [listing.below.path(name) for name in sorted(listing.below.tables) if name.count("/") <= 1]
    tables = [(path, table) for path in near[:MOST_TABLES] if (table := _read(path)) is not None]
    candidates = [listed for path, rows in tables if (listed := _candidate(path, rows, listing))]
    if len(candidates) > 1:
        root = listing.below.root
        named = " and ".join(table.path.relative_to(root).as_posix() for table in candidates[:4])
        raise UsageError(
            f"{root} holds {len(candidates)} tables with a column of files and one of patients: {named}",
            f"choose one: --set-data table={candidates[0].path}",
        )
    return candidates[0] if candidates else None


def _candidate(path: Path, table: pd.DataFrame, listing: Listing) -> FoundTable | None:
    # A table of findings has several rows for an image: they are one row where they agree on the patient.
    once = table.drop_duplicates(["file", "patient"])
    rows = patient_rows(path, once, list(listing.files), listing.below.root)
    return FoundTable(path, rows) if rows.rows else None


def _read(path: Path) -> pd.DataFrame | None:
    """Return the columns file, patient, label and split of a table that has the first two under some name.

    Raises as `read_csv` where a table with both columns is damaged: patients guessed without it might contradict it.
    """
    header = _header(path)
    if not all(any(_plain(name) in header for name in names) for names in (FILE_NAMES, PATIENT_NAMES)):
        return None  # most tables say nothing of patients, and need not be read
    table = read_csv(path, (), _spellings((*FILE_NAMES, *PATIENT_NAMES, *OPTIONAL)))
    spelled = {_plain(str(column)): str(column) for column in reversed(list(table.columns))}
    sought = {"file": FILE_NAMES, "patient": PATIENT_NAMES, **{name: (name,) for name in OPTIONAL}}
    columns = {name: next(filter(None, map(spelled.get, map(_plain, known))), "") for name, known in sought.items()}
    if not columns["file"] or not columns["patient"]:
        return None
    return pd.DataFrame({name: table[column] for name, column in columns.items() if column})


def _header(path: Path) -> set[str]:
    """Return the names in the first line of a table, in lower case without gaps, whatever separates them."""
    try:
        with path.open("rb") as file:
            line = file.readline(4096).replace(b"\0", b"")  # UTF-16 has a zero byte in each letter
    except OSError:
        return set()
    names = re.split(r"[,;\t|]", line.decode("ascii", "ignore"))
    return {_plain(name.strip(" \"'\r\n")) for name in names}


def _plain(column: str) -> str:
    return column.lower().replace("_", "").replace(" ", "")


def _spellings(names: Iterable[str]) -> list[str]:
    """Return names of columns as tables write them: patient_id, Patient_ID, PatientID, Patient ID, PATIENT ID."""
    forms: list[str] = []
    for name in names:
        cases = (name, name.title(), name.title().replace("Id", "ID"), name.upper(), name.capitalize())
        forms += [case.replace("_", gap) for case in cases for gap in ("_", "", " ")]
        forms += [name.partition("_")[0] + name.title()[len(name.partition("_")[0]) :].replace("_", "")]
    return list(dict.fromkeys(forms))
