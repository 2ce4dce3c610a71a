"""The user's table of files and patients: one row per file that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv, require_ids, require_names
from benchmark.cohorts.file_names import match_names
from benchmark.cohorts.patient_ids import canonical_id
from benchmark.cohorts.text_files import OWN
from benchmark.core.errors import BadDataError

COLUMNS = ("file", "patient")
OPTIONAL = ("label", "split")
NAMED = replace(OWN, columns=f"{OWN.columns}; or say which they are: --columns patient=COLUMN,file=COLUMN")
"""Advice on a table that has other columns."""
ABSENT = "listed, but not on this disk"
"""The remark on rows of a table whose files are not there."""
SITES = "sites, from the table"
"""How a remark starts that lists each site with its number of images."""


@dataclass(frozen=True)
class PatientTable:
    """What a table says of the files that are there."""

    rows: dict[str, dict[str, str]]
    """The cells of each file by column; files by their path below the root folder."""
    absent: tuple[str, ...] = ()
    """Listed files that are not there, as the table writes them."""
    repeated: tuple[str, ...] = ()
    """Files that several equal rows list."""

    def remarks(self) -> dict[str, list[str]]:
        """Name the listed files that are not there, and those that are listed several times."""
        names_by_remark = {
            ABSENT: self.absent,
            "in several equal rows of the table, used once": self.repeated,
        }
        return {what: list(names) for what, names in names_by_remark.items() if names}


def read_patient_table(path: Path, known: Sequence[str], root: Path) -> PatientTable:
    """Read a table with the columns file and patient, and optionally label and split. Arguments as `patient_rows`.

    Raises as `read_csv` and `patient_rows`.
    """
    return patient_rows(path, read_csv(path, COLUMNS, OPTIONAL, NAMED), known, root)


def patient_rows(path: Path, table: pd.DataFrame, known: Sequence[str], root: Path) -> PatientTable:
    """Match the rows of a table to the files that are there.

    Args:
        path: the table, for messages.
        table: the columns file and patient, and label and split if there are such; its index is the line of each row.
        known: the files that are there, by their path below root with forward slashes.
        root: the folder of the files.

    Raises BadDataError for a row without a file or patient, for a name that fits two files, and for a file with two
    different rows.
    """
    table = table.copy()
    for column in table.columns.drop("patient"):  # spellings of a patient are joined, and said, by `join_spellings`
        table[column] = table[column].str.strip()
    if "split" in table:
        table["split"] = table["split"].str.casefold()
    require_names(table, "file", path)
    require_ids(table, "patient", path)
    names = match_names(dict(table["file"]), known, path, root)
    lines, repeated = _one_line_each(table, names, path)
    columns = list(table.columns)
    cells = {line: row for line, *row in table.itertuples(name=None) if line in names}
    rows = {name: dict(zip(columns, cells[line], strict=True)) for name, line in lines.items()}
    return PatientTable(rows, tuple(table["file"][~table.index.isin(list(names))]), repeated)


def _one_line_each(table: pd.DataFrame, names: dict[int, str], path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the first line of each file, and the files listed again. Raises BadDataError where rows differ."""
    compared = table.drop(columns="file").assign(patient=table["patient"].map(canonical_id))
    first: dict[str, int] = {}
    repeated: dict[str, None] = {}
    for line, name in names.items():
        before = first.setdefault(name, line)
        if before != line:
            differing = [column for column in compared if compared[column][before] != compared[column][line]]
            if differing:
                raise BadDataError(
                    f"{path} lists {name} in lines {before} and {line} with different cells in column {differing[0]}",
                    "keep one row per file",
                )
            repeated[name] = None
    return first, tuple(repeated)
