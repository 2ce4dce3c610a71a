"""Exact duplicates: items whose pixels are equal to the last bit."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Duplicates:
    """Groups of positions in the table whose pixels are equal; each group has at least two."""

    within: tuple[tuple[int, ...], ...]
    """Groups inside one subject."""
    across: tuple[tuple[int, ...], ...]
    """Groups that join two subjects or more."""


def find_duplicates(table: pd.DataFrame) -> Duplicates:
    """Group the rows of a table (columns subject, sha) by equal sha, in order of first appearance."""
    repeated = table[table["sha"].duplicated(keep=False)]
    within: list[tuple[int, ...]] = []
    across: list[tuple[int, ...]] = []
    for _, group in repeated.groupby("sha", sort=False):
        rows = tuple(int(row) for row in group.index)
        (within if group["subject"].nunique() == 1 else across).append(rows)
    return Duplicates(tuple(within), tuple(across))


def units(table: pd.DataFrame, duplicates: Duplicates) -> list[tuple[str, ...]]:
    """Join subjects that share a duplicate: each unit, sorted names, must stay on one side of a split."""
    parent = {subject: subject for subject in sorted(table["subject"].unique())}

    def head(subject: str) -> str:
        while parent[subject] != subject:
            parent[subject] = parent[parent[subject]]
            subject = parent[subject]
        return subject

    for rows in duplicates.across:
        first, *others = table["subject"].iloc[list(rows)]
        for other in others:
            parent[head(other)] = head(first)
    joined: dict[str, list[str]] = {}
    for subject in parent:
        joined.setdefault(head(subject), []).append(subject)
    return [tuple(subjects) for subjects in joined.values()]
