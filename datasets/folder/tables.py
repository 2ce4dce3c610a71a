"""The table next to the images that names the patient of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import TITLES, read_csv
from benchmark.cohorts.patient_table import COLUMNS, OPTIONAL, PatientTable, patient_rows
from benchmark.cohorts.text_files import OWN
from benchmark.core.errors import UsageError

from .listing import Listing

FILE_NAMES = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "image_file", "image_name",
    "img", "img_path", "image_index", "image_id", "img_id", "dicom_id", "datei", "dateiname", "bild", "fichier",
    "archivo",
)  # fmt: skip
PATIENT_NAMES = (
    "patient", "patient_id", "subject", "subject_id", "participant_id", "participant", "pid", "person", "person_id",
    "patient_no", "patient_nr", "patient_number", "subject_number", "pat_id", "pat_nr", "mrn", "patienten_id",
    "patienten_nr", "patientennummer", "proband", "proband_id", "probanden_id", "id_patient", "paciente", "id_paciente",
    "paziente",
)  # fmt: skip
"""Columns of files and of patients, in lower case; those in front are preferred."""
MAPPED = replace(
    OWN, columns="--columns ROLE=COLUMN names columns as the first line of the table writes them", suggests=True
)
TOP_BYTES = 1 << 14
MOST_TABLES = 50
"""With more tables in one folder, they belong to the images one by one."""


@dataclass(frozen=True)
class FoundTable:
    """A table next to the images that names patients."""

    path: Path
    rows: PatientTable


def find_table(listing: Listing) -> tuple[FoundTable | None, list[str]]:
    """Return the table in the root, or in a folder of it, that has a patient for some of these images.

    Returns also the names of those that name patients, but none of these images. Raises UsageError where two name some,
    BadDataError where the one has a file twice or a row without a patient.
    """
    near = [listing.below.path(name) for name in sorted(listing.below.tables) if name.count("/") <= 1]
    tables = [(path, table) for path in near[:MOST_TABLES] if (table := read_named(path)) is not None]
    candidates = [listed for path, rows in tables if (listed := _candidate(path, rows, listing))]
    root = listing.below.root
    if len(candidates) > 1:
        named = " and ".join(table.path.relative_to(root).as_posix() for table in candidates[:4])
        raise UsageError(
            f"{root} holds {len(candidates)} tables with a column of files and one of patients: {named}",
            f"choose one: --set-data table={candidates[0].path}",
        )
    others = [] if candidates else [path.relative_to(root).as_posix() for path, _ in tables]
    return (candidates[0] if candidates else None), others


def _candidate(path: Path, table: pd.DataFrame, listing: Listing) -> FoundTable | None:
    # A table of findings has several rows for an image: they are one row where they agree on the patient.
    once = table.drop_duplicates(["file", "patient"])
    rows = patient_rows(path, once, list(listing.files), listing.below.root)
    return FoundTable(path, rows) if rows.rows else None


def read_named(path: Path) -> pd.DataFrame | None:
    """Return the columns file, patient, label and split of a table that has the first two under some name.

    Raises as `read_csv` where a table with both columns is damaged: patients guessed without it might contradict it.
    """
    names = _names_on_top(path)
    if not all(any(_plain(name) in names for name in known) for known in (FILE_NAMES, PATIENT_NAMES)):
        return None  # most tables say nothing of patients, and need not be read
    table = read_csv(path, (), _spellings((*FILE_NAMES, *PATIENT_NAMES, *OPTIONAL)))
    spelled = {_plain(str(column)): str(column) for column in reversed(list(table.columns))}
    sought = {"file": FILE_NAMES, "patient": PATIENT_NAMES, **{name: (name,) for name in OPTIONAL}}
    columns = {name: next(filter(None, map(spelled.get, map(_plain, known))), "") for name, known in sought.items()}
    if not columns["file"] or not columns["patient"]:
        return None
    return pd.DataFrame({name: table[column] for name, column in columns.items() if column})


def read_mapped(path: Path, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with the columns file and patient, and label, split and site where there are such.

    Args:
        path: of the table.
        roles: the column of each role that the user names (`cohorts.column_roles`); the others have their usual names.

    Raises as `read_csv`, also for a column that is not there and for a file or patient of which no column is known.
    """
    usual = _spellings((*FILE_NAMES, *PATIENT_NAMES, *OPTIONAL))
    table = read_csv(path, tuple(roles.values()), [name for name in usual if name not in roles.values()], MAPPED)
    taken = {_plain(column) for column in roles.values()}
    spelled = {_plain(str(column)): str(column) for column in reversed(list(table.columns))}
    sought = {"file": FILE_NAMES, "patient": PATIENT_NAMES, **{name: (name,) for name in OPTIONAL}}
    columns = dict(roles)
    for role, known in sought.items():
        free = [spelled[name] for name in map(_plain, known) if name in spelled and name not in taken]
        if free:
            columns.setdefault(role, free[0])
    if unnamed := [role for role in COLUMNS if role not in columns]:
        read_csv(path, unnamed, tuple(roles.values()), MAPPED)  # the message that lists the columns
    return pd.DataFrame({role: table[column] for role, column in columns.items()})


def _names_on_top(path: Path) -> set[str]:
    """Return the cells in the first lines of a table, in lower case without gaps, whatever separates them."""
    try:
        with path.open("rb") as file:
            top = file.read(TOP_BYTES).replace(b"\0", b"")  # UTF-16 has a zero byte in each letter
    except OSError:
        return set()
    lines = top.decode("ascii", "ignore").splitlines()[: TITLES + 1]  # one for `sep=;`
    return {_plain(name.strip(" \"'")) for line in lines for name in re.split(r"[,;\t|]", line)}


def _plain(column: str) -> str:
    return re.sub(r"[-_ ]", "", column.lower())


def _spellings(names: Iterable[str]) -> list[str]:
    """Return names of columns as tables write them, in any case: patient_id, patientid, patient id, patient-id."""
    return list(dict.fromkeys(name.replace("_", gap) for name in names for gap in ("_", "", " ", "-")))
