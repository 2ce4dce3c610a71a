"""Lists of items that are to be left out of a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.training_list import listed_items
from benchmark.core.csv_cells import csv_text
from benchmark.core.files import atomic_write

HINT = "write the list again with `bench datasets check --fix` and the same options"


def read_exclusions(path: Path | None, table: pd.DataFrame, root: Path | None = None) -> frozenset[str]:
    """Return the items that a CSV file names in its column `item`, as `match_names` reads them; none without a file.

    `root` is the folder of the data set. Raises UsageError for items that the cohort (a table with a column item) does
    not have, BadDataError for a file that is no table or has a row without a name.
    """
    if path is None:
        return frozenset()
    return frozenset(listed_items(path, read_csv(path, ("item",)), table, root, "excludes", HINT).values())


def write_exclusions(path: Path, reasons: Mapping[str, str]) -> None:
    """Write items and why they are left out, for `--exclude`."""
    with atomic_write(path) as temporary:
        temporary.write_text(csv_text(pd.DataFrame(sorted(reasons.items()), columns=["item", "reason"])), "utf-8")
