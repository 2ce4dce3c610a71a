"""From prepared items and a split to the cohort that models and metrics see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.cohorts.duplicates import Duplicates, find_duplicates
from benchmark.cohorts.manifest import recipe
from benchmark.cohorts.splits import NAMES, Plan, Rule, require_disjoint, split
from benchmark.cohorts.store import Stored
from benchmark.contracts import Cohort, Dataset, Split
from benchmark.storage import content_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 10
"""Fewer held-out patients than this make every interval wide."""


def assemble(
    name: str,
    dataset: Dataset,
    stored: Stored,
    *,
    seed: int,
    fractions: Sequence[float],
    train_items: int | None,
    rule: Rule,
) -> Cohort:
    """Split prepared items into a cohort. Raises BadDataError, UsageError as `split` does."""
    plan = split(stored.table, seed=seed, fractions=fractions, train_items=train_items, rule=rule)
    parts = {part: _part(part, stored, getattr(plan, part)) for part in NAMES}
    require_disjoint({part: items.subjects for part, items in parts.items()})
    return Cohort(
        name=name,
        key=_key(name, dataset, stored, plan),
        spacing_mm=stored.spacing_mm,
        notes=tuple(_notes(stored, parts)),
        **parts,
    )


def _part(name: str, stored: Stored, rows: NDArray[np.int64]) -> Split:
    table = stored.table.iloc[rows]
    labelled = table["label"].notna().all()
    return Split(
        name=name,
        pixels=stored.pixels,
        rows=rows,
        subjects=tuple(table["subject"]),
        items=tuple(table["item"]),
        channels=stored.channels,
        labels=tuple(table["label"]) if labelled else None,
    )


def _key(name: str, dataset: Dataset, stored: Stored, plan: Plan) -> str:
    """Digest what the items are and where they went; neither paths nor times of files enter."""
    table = stored.table
    items = content_key(*table["sha"], *table["subject"])
    return content_key(name, recipe(dataset), items, *(getattr(plan, part).tolist() for part in NAMES))


def _notes(stored: Stored, parts: dict[str, Split]) -> list[str]:
    notes = [f"{what}: {len(names)}" if names else what for what, names in stored.remarks.items()]
    notes += _duplicates(find_duplicates(stored.table))
    for part in NAMES[1:]:
        patients = len(set(parts[part].subjects))
        if patients < FEW:
            notes.append(f"few patients in {part}, so intervals are wide: {patients}")
    return notes


def _duplicates(found: Duplicates) -> list[str]:
    notes = []
    if found.within:
        notes.append(f"groups of exact duplicates within one patient: {len(found.within)}")
    if found.across:
        notes.append(f"groups of exact duplicates across patients, kept on one side of the split: {len(found.across)}")
    return notes
