"""Lists of items that are to be left out of a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv
from benchmark.core.errors import UsageError
from benchmark.core.files import atomic_write


def read_exclusions(path: Path | None, table: pd.DataFrame) -> frozenset[str]:
    """Return the items that a CSV file names in its column `item`; none without a file.

    Raises UsageError for items that the cohort (a table with a column item) does not have, BadDataError for no CSV.
    """
    if path is None:
        return frozenset()
    listed = frozenset(read_csv(path, ("item",))["item"])
    unknown = sorted(listed - set(table["item"]))
    if unknown:
        raise UsageError(
            f"{path} excludes {len(unknown)} items that are not in the cohort, the first is {unknown[0]}",
            "write the list again with `bench datasets check --fix` and the same options",
        )
    return listed


def write_exclusions(path: Path, reasons: Mapping[str, str]) -> None:
    """Write items and why they are left out, for `--exclude`."""
    with atomic_write(path) as temporary:
        pd.DataFrame(sorted(reasons.items()), columns=["item", "reason"]).to_csv(temporary, index=False)
