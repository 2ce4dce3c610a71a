"""One cell of a sweep in one process."""

from __future__ import annotations

import time

from benchmark.core.errors import BenchError, DeclinedError
from benchmark.runs.run import run
from benchmark.runs.sweeps.cells import Cell, CellOutcome


def run_cell(cell: Cell) -> CellOutcome:
    """Run a cell, waiting for another process that runs it already; errors become states of the outcome."""
    started = time.monotonic()
    try:
        folder = run(cell.config, wait=True)
    except DeclinedError as error:
        return CellOutcome(cell, "declined", None, error.message, time.monotonic() - started)
    except BenchError as error:
        return CellOutcome(cell, "failed", None, error.message, time.monotonic() - started)
    return CellOutcome(cell, "done", folder, "", time.monotonic() - started)
