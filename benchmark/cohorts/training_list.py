"""Lists of what to train on, and of what a model was trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv, require_ids, require_names
from benchmark.cohorts.file_names import match_names
from benchmark.cohorts.patient_ids import canonical_id
from benchmark.core.csv_cells import csv_text, restored
from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write
from benchmark.core.types import Cohort, Split

HINT = "give the names that `bench datasets split` writes for these files and options"


def read_training_list(path: Path | None, table: pd.DataFrame, root: Path | None = None) -> frozenset[str]:
    """Return the subjects of a cohort (a table with columns item, subject) that a CSV file lists; none without a file.

    The file names them in a column `patient`, in any spelling that `canonical_id` does not tell apart, or their images
    in a column `item`, as `match_names` reads them; `root` is the folder of the data set.

    Raises UsageError for names that the cohort does not have, BadDataError for a file that is no table, has neither
    column or has a row without a name.
    """
    if path is None:
        return frozenset()
    listed = read_csv(path, (), ("patient", "item"))
    if "patient" in listed:
        return _patients(path, listed, table)
    if "item" in listed:
        items = set(listed_items(path, listed, table, root, "lists", HINT).values())
        return frozenset(table.loc[table["item"].isin(items), "subject"])
    raise UsageError(
        f"{path} has neither a column `patient` nor a column `item`",
        "write the list with `bench datasets split`, or name its column so",
    )


def listed_items(
    path: Path, listed: pd.DataFrame, table: pd.DataFrame, root: Path | None, verb: str, hint: str
) -> dict[int, str]:
    """Return the items of a cohort (a table with a column item) that a list with a column item means, by line.

    Raises UsageError for items that the cohort does not have: `verb` says what the list does with them.
    """
    require_names(listed, "item", path)
    known = set(table["item"])
    # As `neutral` wrote it; a list by hand may have the name of an image that begins with an apostrophe.
    names = dict(listed["item"].map(lambda name: _as_meant(name, known)))
    items = match_names(names, list(table["item"]), path, root)
    unknown = [line for line in listed.index if line not in items]
    if unknown:
        raise UsageError(
            f"{path} {verb} {len(unknown)} items that are not in the cohort, the first is "
            f"{listed['item'][unknown[0]].strip()} in line {unknown[0]}",
            hint,
        )
    return items


def _as_meant(name: str, known: set[str]) -> str:
    bare = restored(name)
    return name if name in known and bare not in known else bare


def _patients(path: Path, listed: pd.DataFrame, table: pd.DataFrame) -> frozenset[str]:
    require_ids(listed, "patient", path)
    subjects: dict[str, set[str]] = {}
    for subject in table["subject"].unique():
        subjects.setdefault(canonical_id(subject), set()).add(subject)
    ids = listed["patient"].map(canonical_id)  # without the apostrophe that `neutral` puts in front, too
    unknown = [line for line, name in ids.items() if name not in subjects]
    if unknown:
        raise UsageError(
            f"{path} lists {len(unknown)} patients that are not in the cohort, the first in line {unknown[0]}", HINT
        )
    return frozenset().union(*(subjects[name] for name in ids))


def write_split(folder: Path, cohort: Cohort) -> list[Path]:
    """Write train.csv and heldout.csv, one row per item with its patient. They name patients: they stay here."""
    return [
        _write(folder / f"{name}.csv", split) for name, split in (("train", cohort.train), ("heldout", cohort.heldout))
    ]


def _write(path: Path, split: Split) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(csv_text(pd.DataFrame({"item": split.items, "patient": split.subjects})), "utf-8")
    return path
