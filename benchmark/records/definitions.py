"""What each score of a record is: read from the tables of docs/metrics.md, which is the only place that says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import MachineError, UsageError
from benchmark.core.options import suggest

PLACES = (Path(__file__).parents[1] / "docs" / "metrics.md", Path(__file__).parents[2] / "docs" / "metrics.md")
"""In an installed package, and in a checkout."""
ENDINGS = ("_null", "_test", "_heldout", "_floor", "_real")
"""The same score for real images that no model has made: its row is that of the score without the ending."""
TICKED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Definition:
    """One row of a table: a score, or several that are defined together."""

    ids: tuple[str, ...]
    meaning: str
    better: str
    neutral: str
    """Its value for a generator that copies nobody; empty where the table has no such column."""
    fails: str
    source: str
    section: str
    """The heading above the table."""


def definitions(text: str | None = None) -> list[Definition]:
    """Return every row of the document's tables whose first column is `id`, in its order.

    Raises MachineError where the document is missing.
    """
    rows: list[Definition] = []
    section, columns, families = "", list[str](), [""]
    for line in (_document() if text is None else text).splitlines():
        if line.startswith("## "):
            section, columns = line[3:].strip(), []
        elif not line.startswith("|"):
            columns = []
        elif not columns:
            first, *columns = _cells(line)
            families = [name for name in TICKED.findall(first) if name.endswith(".")] or [""]
        elif not line.startswith("|---"):
            first, *cells = _cells(line)
            named = dict(zip(columns, cells, strict=True))
            rows.append(
                Definition(
                    ids=tuple(f"{family}{name}" for family in families for name in _ids(first)),
                    meaning=named["is"], better=named["better"], neutral=named.get("without", ""),
                    fails=named["fails when"], source=named["source"], section=section,
                )
            )  # fmt: skip
    return rows


def define(name: str) -> Definition:
    """Return the definition of a score by its id, with or without `[detector]`, or of real images (`ID_null`).

    Raises UsageError with the nearest id.
    """
    by_id = ids_of(definitions())
    row = look_up(name, by_id)
    if row is None:
        raise UsageError(
            f"there is no score {name!r}", f"{suggest(name.partition('[')[0], by_id)}`bench metrics` lists all"
        )
    return row


def ids_of(rows: Iterable[Definition]) -> dict[str, Definition]:
    """Return the rows by each of their ids."""
    return {one: row for row in rows for one in row.ids}


def look_up(name: str, by_id: Mapping[str, Definition]) -> Definition | None:
    """Return the row of a score of a record, as `define`, or nothing where it has none."""
    bare = name.partition("[")[0]
    recall = re.sub(r"^(detector\.recall(?:_headline)?)\.\w+$", r"\1.NAME", bare)
    candidates = [bare, recall, *(bare.removesuffix(ending) for ending in ENDINGS if bare.endswith(ending))]
    return next((by_id[one] for one in candidates if one in by_id), None)


def _document() -> str:
    for place in PLACES:
        if place.exists():
            return place.read_text(encoding="utf-8")
    raise MachineError(
        f"the definitions of the scores are missing: no {PLACES[0]}", "install memobench again, from its wheel"
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _ids(cell: str) -> list[str]:
    """Return the full ids of a first column: after `members.auc`, `.tpr_at_1_fpr` is `members.tpr_at_1_fpr`."""
    names = [name.partition("[")[0] for name in TICKED.findall(cell)]
    family = names[0].rpartition(".")[0] if names else ""
    return [f"{family}{name}" if name.startswith(".") else name for name in names]
