"""The results of sweeps that were made in other ways: cell by cell, all that tells of the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "compared"
"""Name of the sweep, which is that of its folder."""
NOT_COMPARED = ("cost", "environment", "digest")
"""Parts of a record that tell of the machine and of the hour."""


def compare(one: Path, other: Path) -> list[str]:
    """Return the names of the cells whose results are not the same in both sweeps."""
    first, second = results(one), results(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def results(folder: Path) -> dict[str, Any]:
    """Return for each cell its state, and all of its record that tells of the result."""
    cells = [json.loads(line) for line in (folder / "sweeps" / NAME / "cells.jsonl").read_text().splitlines()]
    states = {cell["folder"]: {"cached": "done"}.get(cell["state"], cell["state"]) for cell in cells}
    return {place: (state, _record(folder / "runs" / place) if place else None) for place, state in states.items()}


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return {name: value for name, value in record.items() if name not in NOT_COMPARED}
