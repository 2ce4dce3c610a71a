"""What the processes of a local sweep run in tests, in place of a run: importable in a new process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.runs.sweeps.cells import Cell, CellOutcome


def _count(cell: Cell, folder: Path) -> int:
    """Note that a cell was started, and return how often it was."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"started-{cell.index}").open("a") as file:
        file.write(f"{os.environ['OMP_NUM_THREADS']}\n")
    return len((folder / f"started-{cell.index}").read_text().splitlines())


def work(cell: Cell, *, began: Callable[[Path], None]) -> CellOutcome:
    """Do as the axis `does` says: end, fail, fail once cell 0 was started, die once, die always, or sleep."""
    folder = cell.config.runs
    times = _count(cell, folder)
    began(folder)
    does = cell.axes["does"]
    print(f"cell {cell.index} {does}", flush=True)
    if does == "dies" or (does == "dies once" and times == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "exits":
        os._exit(7)
    if does == "sleeps":
        time.sleep(600)
    while does == "fails beside cell 0" and not (folder / "started-0").exists():
        time.sleep(0.05)
    if does.startswith("fails"):
        return CellOutcome(cell, "failed", folder, "the loss is not finite", 0.1)
    return CellOutcome(cell, "done", folder, "", 0.1)
