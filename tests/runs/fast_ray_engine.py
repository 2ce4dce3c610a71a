"""The engine `ray` whose cells have the small detectors of `fast_bench`: Ray's processes do not import the driver."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from benchmark.runs.sweeps import ray_engine
from benchmark.runs.sweeps.cells import Cell, CellOutcome


def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
    """Run a cell with small detectors."""
    import fast_bench  # noqa: F401

    from benchmark.runs.sweeps.work import run_cell

    return run_cell(cell, began=began)


run_cells = functools.partial(ray_engine.run_cells, work=work)
