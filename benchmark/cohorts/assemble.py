"""From prepared items and a split to the cohort that models and metrics see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cohorts.cache_key import recipe
from benchmark.cohorts.duplicates import Duplicates, find_duplicates, units
from benchmark.cohorts.splits import NAMES, Plan, SplitKind, plan_split, require_disjoint
from benchmark.cohorts.store import Stored
from benchmark.core.errors import UsageError
from benchmark.core.files import content_key
from benchmark.core.types import Cohort, Dataset, Split

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FEW = 10
"""Fewer held-out patients than this make every interval wide."""


def assemble(
    name: str,
    dataset: Dataset,
    stored: Stored,
    *,
    split_seed: int,
    fractions: Sequence[float],
    train_items: int | None,
    train_patients: int | None = None,
    split: SplitKind,
    trained_on: frozenset[str] = frozenset(),
    exclude: frozenset[str] = frozenset(),
) -> Cohort:
    """Split prepared items into a cohort, without those named in `exclude`.

    The split `images` takes each item for a patient of its own. Raises BadDataError, UsageError as `split` does.
    """
    table = split_table(stored, split)
    _require_compared(table, trained_on, exclude)
    used = np.flatnonzero(~table["item"].isin(exclude))
    kept = table.iloc[used].reset_index(drop=True)
    plan = plan_split(
        kept, seed=split_seed, fractions=fractions, train_items=train_items, train_patients=train_patients,
        split=split, trained_on=trained_on,
    )  # fmt: skip
    plan = Plan(*(used[getattr(plan, part)] for part in NAMES))
    together = {name: " = ".join(unit) for unit in units(kept, find_duplicates(kept)) for name in unit}
    parts = {part: _part(part, stored, table, getattr(plan, part), together) for part in NAMES}
    require_disjoint({part: items.subjects for part, items in parts.items()})
    return Cohort(
        name=name,
        key=_key(name, dataset, stored, plan),
        files_key=content_key(sorted(stored.files["sha256"])),
        spacing_mm=stored.spacing_mm,
        notes=tuple(_notes(stored, kept, parts, len(exclude))),
        **parts,
    )


def split_table(stored: Stored, split: SplitKind) -> pd.DataFrame:
    """Return the table of the items; with the split `images` each item is a patient of its own."""
    return stored.table.assign(subject=stored.table["item"]) if split == "images" else stored.table


def _require_compared(table: pd.DataFrame, trained_on: frozenset[str], exclude: frozenset[str]) -> None:
    """Refuse to leave out images that a model made elsewhere was trained on: copies of them could not be seen."""
    hidden = int((table["item"].isin(exclude) & table["subject"].isin(trained_on)).sum())
    if hidden:
        raise UsageError(
            f"{hidden} of the excluded images are of patients that the model was trained on, and copies of them would "
            "not be seen",
            "take them out of the list that --exclude names",
        )


def _part(name: str, stored: Stored, table: pd.DataFrame, rows: NDArray[np.int64], together: dict[str, str]) -> Split:
    own = table.iloc[rows]
    labelled = own["label"].notna().all()
    return Split(
        name=name,
        pixels=stored.pixels,
        rows=rows,
        subjects=tuple(own["subject"]),
        items=tuple(own["item"]),
        channels=stored.channels,
        labels=tuple(own["label"]) if labelled else None,
        units=tuple(own["subject"].map(together)),
    )


def _key(name: str, dataset: Dataset, stored: Stored, plan: Plan) -> str:
    """Digest what the items are and where they went; neither paths nor times of files enter."""
    table = stored.table
    items = content_key(*table["sha"], *table["subject"])
    return content_key(name, recipe(dataset), items, *(getattr(plan, part).tolist() for part in NAMES))


def _notes(stored: Stored, kept: pd.DataFrame, parts: dict[str, Split], excluded: int) -> list[str]:
    notes = [f"{what}: {len(names)}" if names else what for what, names in stored.remarks.items()]
    notes += [f"items excluded by a list: {excluded}"] if excluded else []
    notes += _duplicates(find_duplicates(kept))
    for part in NAMES[1:]:
        patients = len(set(parts[part].subjects))
        if patients < FEW:
            notes.append(f"few patients in {part}, so intervals are wide: {patients}")
    return notes


def _duplicates(duplicates: Duplicates) -> list[str]:
    notes = []
    if duplicates.within:
        notes.append(f"groups of exact duplicates within one patient: {len(duplicates.within)}")
    if duplicates.across:
        count = len(duplicates.across)
        notes.append(f"groups of exact duplicates across patients, kept on one side of the split: {count}")
    return notes
