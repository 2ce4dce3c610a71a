"""The user's table of files and patients: one row per file that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv, require_ids, require_names
from benchmark.cohorts.file_names import match_names
from benchmark.cohorts.patient_ids import canonical_id
from benchmark.core.errors import BadDataError

COLUMNS = ("file", "patient")
OPTIONAL = ("label", "split")


@dataclass(frozen=True)
class PatientTable:
    """What a table says of the files that are there."""

    rows: dict[str, dict[str, str]]
    """The cells of each file by column; files by their path below the root folder."""
    absent: tuple[str, ...]
    """Listed files that are not there, as the table writes them."""


def read_patient_table(path: Path, known: Sequence[str], root: Path) -> PatientTable:
    """Read a table with the columns file and patient, and optionally label and split.

    Args:
        path: the table.
        known: the files that are there, by their path below root with forward slashes.
        root: the folder of the files.

    Raises as `read_csv`, and BadDataError for a row without a file or patient, for a name that fits two files, and for
    a file that is listed twice.
    """
    table = read_csv(path, COLUMNS, OPTIONAL)
    for column in table.columns.drop("patient"):  # spellings of a patient are joined, and said, by `join_spellings`
        table[column] = table[column].str.strip()
    if "split" in table:
        table["split"] = table["split"].str.casefold()
    require_names(table, "file", path)
    require_ids(table, "patient", path)
    names = match_names(dict(table["file"]), known, path, root)
    _require_one_row_each(table, names, path)
    columns = list(table.columns)
    rows = {
        names[line]: dict(zip(columns, cells, strict=True))
        for line, *cells in table.itertuples(name=None)
        if line in names
    }
    return PatientTable(rows, tuple(table["file"][~table.index.isin(list(names))]))


def _require_one_row_each(table: pd.DataFrame, names: dict[int, str], path: Path) -> None:
    first: dict[str, int] = {}
    for line, name in names.items():
        before = first.setdefault(name, line)
        if before != line:
            patients = {canonical_id(table["patient"][number]) for number in (before, line)}
            different = ", with different patients" if len(patients) > 1 else ""
            raise BadDataError(
                f"{path} lists {name} twice, in lines {before} and {line}{different}", "keep one row per file"
            )
