"""Lists of what to train on, and of what a model was trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write
from benchmark.core.types import Cohort, Split


def read_training_list(path: Path | None, table: pd.DataFrame) -> frozenset[str]:
    """Return the subjects of a cohort (a table with columns item, subject) that a CSV file lists; none without a file.

    The file names them in a column `patient`, or their images in a column `item`. Raises UsageError for names that the
    cohort does not have, BadDataError for a file that is no CSV or has neither column.
    """
    if path is None:
        return frozenset()
    listed = read_csv(path, (), ("patient", "item"))
    if "patient" in listed:
        return _known(path, "patients", frozenset(listed["patient"]), frozenset(table["subject"]))
    if "item" in listed:
        items = _known(path, "items", frozenset(listed["item"]), frozenset(table["item"]))
        return frozenset(table.loc[table["item"].isin(items), "subject"])
    raise UsageError(
        f"{path} has neither a column `patient` nor a column `item`",
        "write the list with `bench datasets split`, or name its column so",
    )


def _known(path: Path, what: str, listed: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    unknown = sorted(listed - known)
    if unknown:
        raise UsageError(
            f"{path} lists {len(unknown)} {what} that are not in the cohort, the first is {unknown[0]}",
            "give the names that `bench datasets split` writes for these files and options",
        )
    return listed


def write_split(folder: Path, cohort: Cohort) -> list[Path]:
    """Write train.csv and heldout.csv, one row per item with its patient. They name patients: they stay here."""
    return [
        _write(folder / f"{name}.csv", split) for name, split in (("train", cohort.train), ("heldout", cohort.heldout))
    ]


def _write(path: Path, split: Split) -> Path:
    with atomic_write(path) as temporary:
        pd.DataFrame({"item": split.items, "patient": split.subjects}).to_csv(temporary, index=False)
    return path
