"""One cell of a sweep in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmark.core.errors import BenchError, DeclinedError
from benchmark.runs.config import resolve
from benchmark.runs.run import open_split, run
from benchmark.runs.run_folders import run_folder
from benchmark.runs.sweeps.cells import Cell, CellOutcome

LOG = "run.log"
"""File in the run folder with what the cell prints."""


def run_cell(cell: Cell, *, began: Callable[[Path], None] = lambda folder: None) -> CellOutcome:
    """Run a cell, waiting for another process that runs it already; errors become states of the outcome.

    `began` is called with the run folder as soon as it is known, before anything is trained.
    """
    started, folder = time.monotonic(), None

    def outcome(state: str, error: str = "") -> CellOutcome:
        return CellOutcome(cell, state, folder, error, time.monotonic() - started)  # type: ignore[arg-type]

    try:
        folder = _folder(cell)
        began(folder)
        run(cell.config, wait=True)
    except DeclinedError as error:
        return outcome("declined", error.message)
    except BenchError as error:
        return outcome("failed", error.message)
    except Exception as error:  # noqa: BLE001  a fault of one cell must not end the others
        return outcome("failed", f"{type(error).__name__}: {error}")
    return outcome("done")


def _folder(cell: Cell) -> Path:
    """Return the run folder of a cell, created. The cohort is prepared first where the cache does not hold it."""
    resolved = resolve(cell.config)
    folder = run_folder(resolved, open_split(resolved, lambda text: None))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
