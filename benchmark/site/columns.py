"""The further columns of a board's table, which its page shows on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmark.records import escaping
from benchmark.records.columns import LINES
from benchmark.site.entry import COSTS, Entry, cost_text, device_of

SHOWN = ("model", "preset", "settings", "exposed patients", "exposed share", "can show", "Frechet [random-conv]", "fit")
"""Columns of the board's text table that the page has from the start."""


def further(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the further columns that any row has, as the page's script reads them: titles, and one list per row.

    Cells are text with the interval in brackets, as in the CSV file. A column in which all cells are empty is left out.
    """
    names = list(dict.fromkeys(name for one in entries for name in one.cells if name not in SHOWN))
    given: dict[str, Callable[[Entry], str]] = {name: _cell(name) for name in names}
    given |= {title: _cost(name) for name, title in COSTS.items() if name != "fit_seconds"}
    given |= {
        "device": lambda one: device_of(one.record),
        "version": version_of,
        "receipt": lambda one: one.standing.receipt,
    }
    table = {title: [escaping.shown(read(one)) for one in entries] for title, read in given.items()}
    kept = {title: cells for title, cells in table.items() if any(cells)}
    return {
        "columns": [{"title": title, "about": ABOUT.get(title, "")} for title in kept],
        "rows": {one.id: [cells[number] for cells in kept.values()] for number, one in enumerate(entries)},
    }


ABOUT = {line.heading.strip(): line.meaning for line in LINES}


def _cell(name: str) -> Callable[[Entry], str]:
    return lambda one: one.cells.get(name, "")


def _cost(name: str) -> Callable[[Entry], str]:
    return lambda one: cost_text(name, one.row.cost[name]) if name in one.row.cost else ""


def version_of(one: Entry) -> str:
    """Return the version of memobench that the record names."""
    version: Any = one.record.environment.get("memobench", "")
    return version if isinstance(version, str) else ""
