"""What a custodian should know of a cohort before training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.cohorts.assemble import assemble, split_table
from benchmark.cohorts.check.near_duplicates import NearPair, find_near
from benchmark.cohorts.check.outliers import Oddities, scan
from benchmark.cohorts.duplicates import Duplicates, find_duplicates
from benchmark.cohorts.exclusions import read_exclusions
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.splits import FRACTIONS, NAMES, Plan, SplitKind, plan_split
from benchmark.cohorts.store import Stored
from benchmark.core.progress import Log, to_stderr
from benchmark.core.types import Cohort, Dataset, HasReports

if TYPE_CHECKING:
    from benchmark.core.types import Array


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
    spacing_mm: dict[str, int]
    """Sources by the spacing of their items, such as `1 x 1`; empty text where unknown."""
    orientation: dict[str, int]
    """Sources by the orientation of their files, such as LPS; empty text where files do not say."""
    pixels: Oddities
    within: tuple[tuple[str, ...], ...]
    """Exact duplicates inside one patient: groups of item names."""
    across: tuple[tuple[str, ...], ...]
    """Exact duplicates across patients."""
    near: tuple[tuple[str, str, float], ...]
    """Near duplicates across patients, and their correlation."""
    same_patient: dict[str, int]
    """Pairs of patients that share images, exact or near, and how many: one person under two names?"""
    groups_joined: int
    """How many groups a split by patient name alone would have put on two sides."""
    leaks: tuple[str, ...]
    """One sentence a patient or image that is in two splits: must be empty."""
    fixes: dict[str, str]
    """Items that `--fix` excludes, and why."""
    reports: tuple[int, int] | None
    """Images with a report, and reports whose text another one repeats; none where the data set has no reports."""
    remarks: dict[str, list[str]]
    """What was left out or repaired, with the names."""

    @property
    def ok(self) -> bool:
        """Whether nothing leaks and nothing is damaged."""
        return not self.leaks


def check(
    name: str,
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    split_seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    split: SplitKind = "patients",
    exclude: Path | None = None,
    strict: bool = False,
    workers: int | None = None,
    log: Log = to_stderr,
) -> tuple[Report, Stored, Cohort]:
    """Prepare a cohort, or open it, and read every stored pixel once. Arguments and errors as for `prepare`."""
    stored = prepare_items(name, dataset, root, cache, strict=strict, workers=workers, log=log)
    excluded = read_exclusions(exclude, stored.table, root)
    cohort = assemble(
        name,
        dataset,
        stored,
        split_seed=split_seed,
        fractions=fractions,
        split=split,
        train_items=train_items,
        exclude=excluded,
    )
    table = split_table(stored, split)
    alone = plan_split(table, seed=split_seed, fractions=fractions, split=split, join_duplicates=False)
    texts = dataset.reports(root) if isinstance(dataset, HasReports) else None
    report = describe(
        stored, cohort, table=table, groups_joined=_crossing(find_duplicates(table), alone), texts=texts,
        excluded=excluded,
    )  # fmt: skip
    return report, stored, cohort


def describe(
    stored: Stored,
    cohort: Cohort,
    *,
    table: pd.DataFrame,
    groups_joined: int,
    texts: dict[str, str] | None,
    excluded: frozenset[str],
) -> Report:
    """Collect the report of a cohort from its stored items; `table` has the patients by whom they were split."""
    duplicates, seen = find_duplicates(table), scan(stored)
    used = ~table["item"].isin(excluded).to_numpy()
    near = [pair for pair in find_near(stored.pixels, table) if used[pair.first] and used[pair.second]]
    parts = [getattr(cohort, part) for part in NAMES]
    plan = Plan(*(part.rows for part in parts))
    torn = _torn(near, plan, len(table))
    names = table["item"].to_numpy()
    return Report(
        name=cohort.name,
        key=cohort.key,
        items=len(table),
        patients=stored.table["subject"].nunique(),
        splits={part.name: (len(part), len(set(part.subjects))) for part in parts},
        labels={str(label): int(count) for label, count in table["label"].value_counts().items()},
        shape=cohort.train.shape,
        spacing_mm=_counts(stored, "spacing_mm"),
        orientation=_counts(stored, "orientation"),
        pixels=seen,
        within=_named(table, duplicates.within),
        across=_named(table, duplicates.across),
        near=tuple((names[pair.first], names[pair.second], round(pair.correlation, 4)) for pair in near),
        same_patient=_shared(table, duplicates, near),
        groups_joined=groups_joined,
        leaks=(*find_leaks(table, plan), *(_sentence(pair, names, plan) for pair in torn)),
        fixes=_fixes(torn, names, plan) | dict.fromkeys(set(seen.constant) - excluded, "constant"),
        reports=None if texts is None else _repeated(texts),
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


def _torn(near: Sequence[NearPair], plan: Plan, total: int) -> list[NearPair]:
    sides = _sides(plan, total)
    return [pair for pair in near if -1 != sides[pair.first] != sides[pair.second] != -1]


def _sentence(pair: NearPair, names: Array, plan: Plan) -> str:
    sides = _sides(plan, len(names))
    where = [f"{names[row]} in {NAMES[sides[row]]}" for row in (pair.first, pair.second)]
    return f"near duplicates ({pair.correlation:.3f}): {' and '.join(where)}"


def _fixes(torn: Sequence[NearPair], names: Array, plan: Plan) -> dict[str, str]:
    """Leave out the side that training does not see; of two held-out ones the later."""
    sides = _sides(plan, len(names))
    fixes = {}
    for pair in torn:
        kept, out = sorted((pair.first, pair.second), key=lambda row: (sides[row], row))
        fixes[str(names[out])] = f"near duplicate of {names[kept]} in {NAMES[sides[kept]]}"
    return fixes


def _shared(table: pd.DataFrame, duplicates: Duplicates, near: Sequence[NearPair]) -> dict[str, int]:
    subjects = table["subject"].to_numpy()
    groups = [*duplicates.across, *((pair.first, pair.second) for pair in near)]
    pairs = Counter(
        " = ".join(pair) for group in groups for pair in combinations(sorted({subjects[row] for row in group}), 2)
    )
    return dict(pairs.most_common())


def _counts(stored: Stored, column: str) -> dict[str, int]:
    sources = stored.files.drop_duplicates("source")
    return {str(value): int(count) for value, count in sources[column].value_counts().items()}


def _repeated(texts: dict[str, str]) -> tuple[int, int]:
    counts = Counter(text.strip() for text in texts.values() if text.strip())
    return sum(counts.values()), sum(count for count in counts.values() if count > 1)


def _crossing(duplicates: Duplicates, plan: Plan) -> int:
    rows = np.concatenate([plan.train, plan.calibration, plan.test])
    sides = _sides(plan, int(rows.max()) + 1)
    return sum(len(set(sides[list(group)])) > 1 for group in duplicates.across)


def _sides(plan: Plan, total: int) -> Array:
    sides = np.full(total, -1)
    for side, part in enumerate(NAMES):
        sides[getattr(plan, part)] = side
    return sides


def _named(table: pd.DataFrame, groups: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(table["item"].iloc[list(rows)]) for rows in groups)
