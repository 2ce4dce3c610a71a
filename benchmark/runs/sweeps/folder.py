"""The folder of a sweep: its axes, and what became of each cell. A killed sweep loses no line that it wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.core.files import atomic_write, content_key, private_folder
from benchmark.runs.sweeps.axes import Axes
from benchmark.runs.sweeps.cells import Cell, CellOutcome

AXES_FILE = "sweep.toml"
CELLS_FILE = "cells.jsonl"
"""One line per change of state of a cell; the last line of a cell counts. One line per cell after a sweep has ended."""
NOT_OF_THE_RESULT = {"runs", "cache", "device", "search_memory"}
"""Settings that say where and with what means a cell runs: the same cell may run elsewhere next time."""


def cell_key(cell: Cell) -> str:
    """Return a digest of all that decides the result of a cell."""
    return content_key(cell.config.model_dump(mode="json", exclude=NOT_OF_THE_RESULT))


def write_axes(folder: Path, axes: Axes) -> None:
    """Write sweep.toml, from which `bench sweep --config` repeats or extends the sweep."""
    import tomli_w

    private_folder(folder)
    with atomic_write(folder / AXES_FILE) as temporary:
        temporary.write_text(tomli_w.dumps(_plain(axes.document())), encoding="utf-8")


def append(folder: Path, outcome: CellOutcome) -> None:
    """Add the state of a cell."""
    with (folder / CELLS_FILE).open("a", encoding="utf-8") as lines:
        lines.write(_line(outcome))


def write_all(folder: Path, outcomes: Iterable[CellOutcome]) -> None:
    """Replace the lines by one per cell."""
    with atomic_write(folder / CELLS_FILE) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.writelines(map(_line, outcomes))


def read_states(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the last line of each cell by its key; a line that a killed process cut off is dropped."""
    path = folder / CELLS_FILE
    states: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return states
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                values = json.loads(line)
                states[values["key"]] = values
            except (ValueError, KeyError, TypeError):
                continue
    return states


def _line(outcome: CellOutcome) -> str:
    cell = outcome.cell
    # Below the folder of all runs, so that a moved folder leaves it right.
    runs = cell.config.runs
    folder = outcome.folder
    place = folder.relative_to(runs) if folder is not None and folder.is_relative_to(runs) else folder
    values = {
        "key": cell_key(cell), "index": cell.index, "state": outcome.state, "axes": dict(cell.axes),
        "folder": None if place is None else place.as_posix(), "error": outcome.error,
        "seconds": round(outcome.seconds, 3),
    }  # fmt: skip
    return json.dumps(values) + "\n"


def _plain(value: Any) -> Any:
    """Return values as TOML has them: paths as text, nothing for None."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
