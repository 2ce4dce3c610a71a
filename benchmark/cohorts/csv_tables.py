"""The CSV files that come with data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.core.errors import BadDataError, MissingDataError, UsageError

LONGEST = 24
"""Letters of a column's name that is shown."""


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read columns of a CSV as text, and optional ones that are there; an empty cell is an empty text.

    Messages name columns, never what stands in them.

    Raises MissingDataError where there is no such file, BadDataError where it is no CSV or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError as error:
        raise MissingDataError(f"{path} does not exist", "copy it beside the images, as it was downloaded") from error
    except (ValueError, UnicodeDecodeError, OSError, EOFError) as error:
        raise BadDataError(f"{path} is not a CSV file, or it is damaged", "download or copy the file again") from error
    table.columns = table.columns.str.strip()
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise BadDataError(
            f"{path} has no column {' and no '.join(missing)}; it has {_shown(list(table.columns))}",
            "give the file as it was published, or name the columns so",
        )
    if not len(table):
        raise BadDataError(f"{path} has no rows", "download or copy the file again")
    return table[[*columns, *(column for column in optional if column in table.columns)]]


def _shown(columns: list[str]) -> str:
    """Return names of columns for a message, or how many there are: without a header, a row stands in their place."""
    if all(name.isidentifier() and len(name) <= LONGEST for name in columns):
        return ", ".join(columns[:8])
    return f"{len(columns)}, and its first line does not look like names of columns"


def require_unique(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise BadDataError where a column names something twice."""
    twice = table[column][table[column].duplicated()]
    if len(twice):
        raise BadDataError(f"{path} lists {twice.iloc[0]} twice in column {column}", "keep one row per file")


def require_csv(option: str, path: str) -> None:
    """Raise UsageError where an option names a file that is not there."""
    if path and not Path(path).is_file():
        raise UsageError(f"{option} names {path}, which is no file", "give the path of a CSV file")
