"""Exact duplicates: items whose pixels are equal to the last bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    """Join subjects that share a duplicate, directly or through others: a unit must stay on one side of a split.

    Returns units in the order of their first subject; the subjects of a unit are sorted.
    """
    subjects = sorted(table["subject"].unique())
    if not duplicates.across:  # the usual case needs no graph, and no library for it
        return [(subject,) for subject in subjects]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = {subject: position for position, subject in enumerate(subjects)}
    numbers = table["subject"].map(number).to_numpy()
    edges = [(numbers[rows[0]], numbers[other]) for rows in duplicates.across for other in rows[1:]]
    first, second = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (first, second)), shape=(len(subjects), len(subjects)))
    labels = connected_components(graph, directed=False)[1]
    joined: dict[int, list[str]] = {}
    for subject, label in zip(subjects, labels, strict=True):
        joined.setdefault(int(label), []).append(subject)
    return [tuple(unit) for unit in joined.values()]
