"""A sweep from its axes to its outcomes: what is cached stays, what another process computes is waited for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from benchmark.cohorts.open import open_cohort
from benchmark.core.errors import UsageError
from benchmark.core.files import content_key, private_folder
from benchmark.core.progress import Log, to_stderr
from benchmark.core.stages import LOCK, exclusive
from benchmark.runs.config import RunConfig, resolve
from benchmark.runs.sweeps.axes import Axes
from benchmark.runs.sweeps.cells import CellOutcome
from benchmark.runs.sweeps.engines import Engine
from benchmark.runs.sweeps.folder import append, cell_key, read_states, write_all, write_axes
from benchmark.runs.sweeps.plan import Plan, make_plan

Redo = Literal["missing", "failed", "all"]
"""`missing` runs cells that have neither ended nor failed, `failed` (the default) those that failed too, `all` runs
every cell again from the start."""
FINAL = ("done", "cached", "failed", "declined", "skipped")


@dataclass(frozen=True)
class Result:
    """A sweep that has ended."""

    folder: Path
    outcomes: tuple[CellOutcome, ...]
    """One per cell, in the order of the plan."""

    @property
    def failed(self) -> int:
        """Number of cells that failed."""
        return sum(outcome.state == "failed" for outcome in self.outcomes)


def sweep_name(axes: Axes) -> str:
    """Return a name for a sweep: its models and data, and a digest of its axes. The same axes have the same name."""
    words = [str(axes.values[name][0]).partition(":")[0].rpartition("/")[2] for name in ("model", "data")]
    more = len(axes.values["model"]) - 1
    fixed = {name: str(value) for name, value in axes.fixed.items() if name not in ("device", "runs", "cache")}
    digest = content_key({name: list(values) for name, values in axes.values.items()}, fixed, axes.control, length=6)
    return f"{words[0]}{f'-and-{more}-more' if more else ''}-{words[1]}-{digest}"


def require_redo(redo: str) -> Redo:
    """Return what is to be run again. Raises UsageError."""
    if redo not in get_args(Redo):
        raise UsageError(f"--redo {redo} is not known", f"choose one of {', '.join(get_args(Redo))}")
    return redo  # type: ignore[return-value]


def sweep(
    axes: Axes,
    folder: Path,
    engine: Engine,
    *,
    workers: int,
    fail_fast: bool = False,
    redo: Redo = "failed",
    tell: Callable[[CellOutcome], None] = lambda outcome: None,
    log: Log = to_stderr,
) -> Result:
    """Run the cells of a sweep that are not done, and keep what becomes of each in the folder.

    Raises BenchError for what is wrong before a cell starts: axes, data, a sweep that another process runs. A cell that
    fails later is an outcome.
    """
    private_folder(folder.parent, inside=folder.name)
    with exclusive(folder):
        before = read_states(folder)
        write_axes(folder, axes)
        plan = prepared_plan(axes, log)
        outcomes = {outcome.cell.index: _expected(outcome, before, redo) for outcome in plan.outcomes}
        pending = [outcome.cell for outcome in outcomes.values() if outcome.state == "planned"]
        if redo == "all":
            for outcome in plan.outcomes:
                if outcome.folder is not None:
                    start_again(outcome.folder)

        def note(outcome: CellOutcome) -> None:
            if outcome.state in FINAL:
                outcomes[outcome.cell.index] = outcome
                append(folder, outcome)
            tell(outcome)

        write_all(folder, outcomes.values())
        with _kept(folder, outcomes):
            engine(pending, workers=workers, fail_fast=fail_fast, tell=note)
    return Result(folder, tuple(outcomes.values()))


def prepared_plan(axes: Axes, log: Log) -> Plan:
    """Return the plan after preparing each data set that the cache does not hold, once, before any cell needs it."""
    plan = make_plan(axes)
    if not plan.unprepared:
        return plan
    prepared: set[str] = set()
    for outcome in plan.outcomes:
        config = outcome.cell.config
        key = f"{config.data.model_dump_json(exclude={'train_items', 'train_patients'})} {config.model.preset}"
        if outcome.state == "planned" and outcome.folder is None and key not in prepared:
            prepared.add(key)
            _prepare(config, log)
    return make_plan(axes)


def _prepare(config: RunConfig, log: Log) -> None:
    """Prepare the images of a cell's data set, whatever its training size."""
    resolved = resolve(config)
    whole = config.data.model_copy(update={"train_items": None, "train_patients": None})
    open_cohort(whole, resolved.data, resolved.dataset, cache=config.cache, log=log)


def start_again(folder: Path) -> None:
    """Remove what a run has computed. Raises MachineError where another process works on it."""
    if not folder.exists():
        return
    with exclusive(folder):
        for path in folder.iterdir():
            if path.name.startswith(LOCK):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _expected(outcome: CellOutcome, before: dict[str, dict[str, object]], redo: Redo) -> CellOutcome:
    """Return the state of a cell at the start of this sweep."""
    if redo == "all" and outcome.state == "cached":
        return replace(outcome, state="planned")
    last = before.get(cell_key(outcome.cell), {})
    if redo == "missing" and outcome.state == "planned" and last.get("state") == "failed":
        return replace(outcome, state="failed", error=str(last.get("error", "")))
    return outcome


@contextmanager
def _kept(folder: Path, outcomes: dict[int, CellOutcome]) -> Iterator[None]:
    """Write one line per cell when the sweep ends, in whatever way."""
    try:
        yield
    finally:
        write_all(folder, outcomes.values())


def resume_command(folder: Path) -> str:
    """Return the command that continues a sweep."""
    return f"bench sweep --config {folder / 'sweep.toml'} --name {folder.name}"


def count_states(outcomes: Sequence[CellOutcome]) -> str:
    """Return how many cells are in each state, as text."""
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in (*FINAL, "planned", "running")}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
