"""What a custodian should know of a cohort before training on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.cohorts.cohort import assemble
from benchmark.cohorts.duplicates import Duplicates, find_duplicates
from benchmark.cohorts.prepare import Say, prepare_items, to_stderr
from benchmark.cohorts.splits import FRACTIONS, NAMES, Plan, Rule, split
from benchmark.cohorts.store import Stored
from benchmark.cohorts.writer import digest
from benchmark.contracts import Cohort, Dataset, chunks

if TYPE_CHECKING:
    from benchmark.contracts import Array

AT_ONCE = 64
"""Items in memory at once."""


@dataclass(frozen=True)
class Intensity:
    """The stored values of one channel: grey levels 0 to 255, or -1 to 1."""

    channel: str
    least: float
    mean: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """The state of one cohort; it names files and patients, so it stays with the data."""

    name: str
    key: str
    items: int
    patients: int
    splits: dict[str, tuple[int, int]]
    """Items and patients of train, calibration and test."""
    labels: dict[str, int]
    """Items a class; empty without classes."""
    shape: tuple[int, ...]
    """(C, *spatial)."""
    spacing_mm: tuple[float, ...]
    intensity: tuple[Intensity, ...]
    within: tuple[tuple[str, ...], ...]
    """Exact duplicates inside one patient: groups of item names."""
    across: tuple[tuple[str, ...], ...]
    """Exact duplicates across patients."""
    mended: int
    """How many groups a split by patient name alone would have put on two sides."""
    leaks: tuple[str, ...]
    """One sentence a patient or image that is in two splits: must be empty."""
    constant: tuple[str, ...]
    """Items of one value in every channel."""
    damaged: tuple[str, ...]
    """Items whose stored pixels are no longer those that were prepared."""
    remarks: dict[str, list[str]]
    """What was left out or mended, with the names."""

    @property
    def ok(self) -> bool:
        """Whether nothing leaks and nothing is damaged."""
        return not self.leaks and not self.damaged


def check(
    name: str,
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    rule: Rule = "patients",
    workers: int | None = None,
    say: Say = to_stderr,
) -> Report:
    """Prepare a cohort, or open it, and read every stored pixel once. Arguments and errors as for `prepare`."""
    stored = prepare_items(name, dataset, root, cache, workers=workers, say=say)
    cohort = assemble(name, dataset, stored, seed=seed, fractions=fractions, train_items=train_items, rule=rule)
    found = find_duplicates(stored.table)
    alone = split(stored.table, seed=seed, fractions=fractions, rule=rule, mend=False)
    return describe(stored, cohort, found, mended=_crossing(found, alone))


def describe(stored: Stored, cohort: Cohort, found: Duplicates, *, mended: int) -> Report:
    """Collect the report of a cohort from its stored items."""
    table = stored.table
    intensity, constant, damaged = _scan(stored)
    parts = [getattr(cohort, part) for part in NAMES]
    return Report(
        name=cohort.name,
        key=cohort.key,
        items=len(table),
        patients=table["subject"].nunique(),
        splits={part.name: (len(part), len(set(part.subjects))) for part in parts},
        labels={str(label): int(count) for label, count in table["label"].value_counts().items()},
        shape=cohort.train.shape,
        spacing_mm=stored.spacing_mm,
        intensity=intensity,
        within=_named(table, found.within),
        across=_named(table, found.across),
        mended=mended,
        leaks=tuple(find_leaks(table, Plan(*(part.rows for part in parts)))),
        constant=constant,
        damaged=damaged,
        remarks=stored.remarks,
    )


def find_leaks(table: pd.DataFrame, plan: Plan) -> list[str]:
    """Say, one sentence each, which patients and which images are in two splits."""
    sides = _sides(plan, len(table))
    used = table.assign(side=sides)[sides >= 0]
    leaks = []
    for column, what in (("subject", "patient"), ("sha", "image")):
        counts = used.groupby(column)["side"].nunique()
        for value in counts.index[counts > 1]:
            first = used.loc[used[column] == value]
            named = value if column == "subject" else first["item"].iloc[0]
            where = " and ".join(NAMES[side] for side in sorted(first["side"].unique()))
            leaks.append(f"{what} {named} is in {where}")
    return leaks


def _crossing(found: Duplicates, plan: Plan) -> int:
    rows = np.concatenate([plan.train, plan.calibration, plan.test])
    sides = _sides(plan, int(rows.max()) + 1)
    return sum(len(set(sides[list(group)])) > 1 for group in found.across)


def _sides(plan: Plan, total: int) -> Array:
    sides = np.full(total, -1)
    for side, part in enumerate(NAMES):
        sides[getattr(plan, part)] = side
    return sides


def _named(table: pd.DataFrame, groups: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(table["item"].iloc[list(rows)]) for rows in groups)


def _scan(stored: Stored) -> tuple[tuple[Intensity, ...], tuple[str, ...], tuple[str, ...]]:
    """Read all pixels in blocks: values a channel, constant items, items that changed on disk."""
    pixels, table = stored.pixels, stored.table
    least, greatest, means = [], [], []
    for block in chunks(len(pixels), AT_ONCE):
        flat = pixels[block].reshape(-1, pixels.shape[1], int(np.prod(pixels.shape[2:])))
        least.append(flat.min(axis=2))
        greatest.append(flat.max(axis=2))
        means.append(flat.mean(axis=2, dtype=np.float64))
    low, high, mean = (np.concatenate(parts) for parts in (least, greatest, means))
    intensity = tuple(
        Intensity(channel, float(low[:, at].min()), float(mean[:, at].mean()), float(high[:, at].max()))
        for at, channel in enumerate(stored.channels)
    )
    constant = tuple(table["item"][(low == high).all(axis=1)])
    damaged = tuple(
        name for name, sha, item in zip(table["item"], table["sha"], pixels, strict=True) if digest(item) != sha
    )
    return intensity, constant, damaged
