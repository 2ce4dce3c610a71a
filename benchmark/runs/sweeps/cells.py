"""Cells of a sweep: one run each, at one point of the axes; and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.runs.config import RunConfig

Value = str | int | float | bool
"""A value of an axis."""

State = Literal["planned", "running", "done", "cached", "failed", "declined", "skipped"]
"""`cached` was done before this sweep began; `declined` is a model that cannot take the cell's data; `skipped` was not
started, because the sweep stopped at a failure."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    index: int
    """Place in the plan, from 0."""
    axes: Mapping[str, Value]
    """Name of each axis and the cell's value on it, such as {"model": "ldm", "train_items": 400, "seed": 1}."""
    config: RunConfig


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell."""

    cell: Cell
    state: State
    folder: Path | None = None
    """The run folder, which holds record.json where the state is `done`, `cached` or `declined`."""
    error: str = ""
    """Why it failed or was declined: one sentence for the user."""
    seconds: float = 0.0
    """Time it took in this sweep; 0 for a cached cell."""
