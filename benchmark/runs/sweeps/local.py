"""The engine `local`: each cell in a process of its own, so many at once as this machine has devices or cores for.

A process per cell gives its memory back, and its faults stay its own: a process that is killed is started again, and
resumes where the run folder says that it stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmark.core.interrupt import signal_name
from benchmark.core.processes import QuietContext, end_with_parent
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.work import LOG, run_cell

Tell = Callable[[CellOutcome], None]
Work = Callable[..., CellOutcome]

ATTEMPTS = 3
"""How often a cell is started whose process was killed: once more is fair to a machine that was short of memory for a
moment; a cell that never fits must not be tried for ever."""
LOOK_AHEAD = 64
"""Cells among which the next one is chosen."""
GRACE_SECONDS = 1.5
"""How long a process may take to end after it was asked to."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass
class Running:
    """A cell in its process."""

    cell: Cell
    place: int
    """Which share of the machine it has, from 0."""
    process: BaseProcess
    pipe: Connection
    started: float
    outcome: CellOutcome | None = None
    folder: Path | None = None


@dataclass
class Queue:
    """Cells that wait, and what those that run are the first to need."""

    waiting: list[Cell]
    """In reverse order, so that the next one is taken from the end."""
    made: set[tuple[object, ...]] = field(default_factory=set)
    """Trainings and detectors that a finished cell has made."""
    attempts: dict[int, int] = field(default_factory=dict)
    """How often each cell was started, by its index; only of cells that were killed."""

    def take(self, running: Sequence[Cell]) -> Cell | None:
        """Return the next cell to start: the first that does not need what a running one is making, if there is one.

        Two cells of one training would train one after the other, the second waiting: none of them is better than
        that. Two cells that need one detector still train side by side.
        """
        making = {need for cell in running for need in needs(cell) if need not in self.made}
        ahead = range(len(self.waiting) - 1, max(-1, len(self.waiting) - 1 - LOOK_AHEAD), -1)
        alone = [place for place in ahead if not making & set(needs(self.waiting[place]))]
        training = [place for place in ahead if needs(self.waiting[place])[0] not in making]
        places = alone or training or ([] if running else list(ahead))
        return self.waiting.pop(places[0]) if places else None


def needs(cell: Cell) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Return what tells the training of a cell, and its cohort with its detectors, from those of other cells."""
    config = cell.config
    data = config.data.model_dump_json()
    return (
        ("training", config.model.model_dump_json(), data, config.seed, config.budget_seconds),
        ("detectors", config.model.preset, data, *(one.text for one in config.detectors)),
    )


def run_cells(
    cells: Sequence[Cell], *, workers: int, fail_fast: bool, tell: Tell, work: Work = run_cell
) -> list[CellOutcome]:
    """Run cells in processes of this machine, and return what became of each, in their order.

    Args:
        cells: to run.
        workers: processes at once.
        fail_fast: start no cell after one has failed; those that run are ended, and are `skipped` too.
        tell: called in this process whenever the state of a cell changes.
        work: what runs one cell; importable in another process.

    At Ctrl-C and SIGTERM (where it raises) all processes are ended; what they had finished stays in the run folders.
    """
    outcomes: dict[int, CellOutcome] = {}
    queue = Queue(list(reversed(cells)))
    running: list[Running] = []
    devices = gpus(cells)

    def note(outcome: CellOutcome) -> None:
        outcomes[outcome.cell.index] = outcome
        tell(outcome)

    with _ended(running):
        while queue.waiting or running:
            while len(running) < workers and (cell := queue.take([one.cell for one in running])):
                place = min(set(range(workers)) - {one.place for one in running})
                tell(CellOutcome(cell, "running"))
                running.append(_start(cell, place, workers, devices, work))
            for one in _changed(running, tell):
                running.remove(one)
                _finish(one, queue, note)
            if fail_fast and any(outcome.state == "failed" for outcome in outcomes.values()):
                break
    for cell in cells:
        if cell.index not in outcomes:
            note(CellOutcome(cell, "skipped", error="not run: the sweep stopped at the first failure"))
    return [outcomes[cell.index] for cell in cells]


def gpus(cells: Sequence[Cell]) -> int:
    """Return how many GPUs these cells may use; 0 where they run on the CPU."""
    if all(cell.config.device == "cpu" for cell in cells):
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip()])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _start(cell: Cell, place: int, workers: int, devices: int, work: Work) -> Running:
    context = QuietContext()  # Ctrl-C reaches the whole group: the driver ends its cells itself
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(cell, sending, os.getpid(), work))
    with _environment(_share(place, workers, devices)):
        process.start()
    sending.close()  # or this process would never see the end of the pipe
    return Running(cell, place, process, receiving, time.monotonic())


def _share(place: int, workers: int, devices: int) -> dict[str, str]:
    """Return the environment that gives a process its share of the cores, and one GPU."""
    threads = str(max(1, cores() // workers))
    share = dict.fromkeys(THREADS, threads) | {"BENCH_PROCESSES": "1"}
    if devices:
        names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        share["CUDA_VISIBLE_DEVICES"] = names[place % len(names)] if names else str(place % devices)
    return share


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _child(cell: Cell, pipe: Connection, parent: int, work: Work) -> None:
    """Run a cell in this process, and send its folder and its outcome."""
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent(parent)
    _print_to(Path(os.devnull))

    def began(folder: Path) -> None:
        _print_to(folder / LOG)
        pipe.send(folder)

    with suppress(BrokenPipeError):
        pipe.send(work(cell, began=began))


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _print_to(path: Path) -> None:
    """Append what this process, its libraries and the processes that it starts print to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _changed(running: Sequence[Running], tell: Tell) -> list[Running]:
    """Wait for news, and return the cells whose processes have ended."""
    by_pipe = {one.pipe: one for one in running}
    ended = []
    for pipe in wait(list(by_pipe), timeout=1.0):
        one = by_pipe[pipe]  # type: ignore[index]
        try:
            message = one.pipe.recv()
        except (EOFError, OSError):
            ended.append(one)
            continue
        if isinstance(message, CellOutcome):
            one.outcome = message
        else:
            one.folder = message
            tell(CellOutcome(one.cell, "running", message))
    return ended


def _finish(one: Running, queue: Queue, note: Tell) -> None:
    """Take the outcome of a cell whose process has ended, or start it again where the process was killed."""
    one.process.join()
    one.pipe.close()
    if one.outcome is not None:
        queue.made.update(needs(one.cell))
        note(one.outcome)
        return
    attempts = queue.attempts.get(one.cell.index, 0) + 1
    queue.attempts[one.cell.index] = attempts
    if attempts < ATTEMPTS:
        queue.waiting.append(one.cell)
        return
    seconds = time.monotonic() - one.started
    note(CellOutcome(one.cell, "failed", one.folder, _killed(one.process.exitcode, attempts), seconds))


def _killed(code: int | None, attempts: int) -> str:
    if code is not None and code < 0:
        name = signal_name(-code)
        memory = ": often too little memory, then use fewer --workers" if -code == signal.SIGKILL else ""
        return f"the process of this cell was ended by {name}, {attempts} times{memory}"
    return f"the process of this cell ended with exit code {code} before its work was done, {attempts} times"


@contextmanager
def _ended(running: list[Running]) -> Iterator[None]:
    """End all processes when the block ends, in whatever way: first ask them, then kill those that remain."""
    try:
        yield
    finally:
        for one in running:
            one.process.terminate()
        limit = time.monotonic() + GRACE_SECONDS
        for one in running:
            try:
                one.process.join(max(0.0, limit - time.monotonic()))
            finally:
                one.process.kill()  # a second Ctrl-C comes here too
        running.clear()
