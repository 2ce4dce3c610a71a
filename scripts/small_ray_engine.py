"""The engine `ray` whose cells have the small detector of `sweep_films`: Ray's processes do not import the driver."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmark.runs.sweeps import ray_engine
from benchmark.runs.sweeps.cells import Cell, CellOutcome


def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
    """Run a cell with the small detector."""
    import sweep_films

    from benchmark.runs.sweeps.work import run_cell

    sweep_films.use_small_detector()
    return run_cell(cell, began=began)


run_cells = functools.partial(ray_engine.run_cells, work=work)
