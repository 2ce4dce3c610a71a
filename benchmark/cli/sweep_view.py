"""The live view of a sweep: progress, and for each running cell the last line of its log; without a terminal, lines."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.options import as_text
from benchmark.core.progress import printable, quiet, to_stderr

if TYPE_CHECKING:
    from benchmark.runs.sweeps.cells import Cell, CellOutcome

SHOWN = 16
"""Running cells that are shown, and the last results."""
TAIL = 2048
"""Bytes at the end of a log in which its last line is looked for."""


@dataclass
class View:
    """What has been told of a sweep so far."""

    total: int
    varied: tuple[str, ...]
    started: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    running: dict[int, tuple[CellOutcome, float]] = field(default_factory=dict)

    def take(self, outcome: CellOutcome) -> bool:
        """Note a change of state; return whether the cell has ended."""
        index = outcome.cell.index
        if outcome.state == "running":
            since = self.running[index][1] if index in self.running else time.monotonic()
            self.running[index] = (outcome, since)
            return False
        self.running.pop(index, None)
        self.counts[outcome.state] += 1
        return True

    def summary(self) -> str:
        """Return progress in one line."""
        ended = sum(self.counts.values())
        states = ", ".join(f"{count} {state}" for state, count in self.counts.items() if state != "done")
        passed = time.monotonic() - self.started
        left = f", about {duration(passed / ended * (self.total - ended))} left" if ended else ""
        return f"{ended} of {self.total} cells{f' ({states})' if states else ''}, {duration(passed)}{left}"


def axes_text(cell: Cell, varied: tuple[str, ...]) -> str:
    """Return a cell's values on the axes that vary."""
    return " ".join(f"{name}={as_text(cell.axes[name])}" for name in varied if name in cell.axes)


def duration(seconds: float) -> str:
    """Return seconds as text: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def sweep_view(total: int, varied: tuple[str, ...], log_name: str) -> Iterator[Callable[[CellOutcome], None]]:
    """Show a sweep of `total` cells while the block lasts; yield what takes the changes of their states."""
    view = View(total, varied)
    if quiet():
        yield lambda outcome: None
    elif sys.stderr.isatty():
        with _live(view, log_name) as take:
            yield take
    else:
        yield lambda outcome: _print(view, outcome)


def _print(view: View, outcome: CellOutcome) -> None:
    if view.take(outcome):
        to_stderr(f"{_result(outcome, view.varied)}; {view.summary()}")


def _result(outcome: CellOutcome, varied: tuple[str, ...]) -> str:
    error = f": {outcome.error}" if outcome.error else ""
    return f"{axes_text(outcome.cell, varied)}: {outcome.state} in {duration(outcome.seconds)}{error}"


@contextmanager
def _live(view: View, log_name: str) -> Iterator[Callable[[CellOutcome], None]]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    with Live(get_renderable=lambda: _table(view, log_name), console=console, refresh_per_second=2, transient=True):

        def take(outcome: CellOutcome) -> None:
            if view.take(outcome):
                console.print(printable(_result(outcome, view.varied)))

        yield take


def _table(view: View, log_name: str) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=view.summary(), title_justify="left", box=SIMPLE, pad_edge=False)
    for column in ("running", "for", "last line of its log"):
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    for outcome, since in list(view.running.values())[:SHOWN]:
        line = last_line(outcome.folder / log_name) if outcome.folder else ""
        table.add_row(printable(axes_text(outcome.cell, view.varied)), duration(time.monotonic() - since), line)
    return table


def last_line(path: Path) -> str:
    """Return the last line of a log, without what a terminal obeys; nothing where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return printable(next((line for line in reversed(lines) if line.strip()), ""))
