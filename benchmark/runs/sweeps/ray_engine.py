"""Cells as tasks of a Ray cluster: lost nodes are survived, and the driver's memory does not grow with the cells.

Ray repeats a task whose node is lost; the repeated task finds in the run folder what was finished. Only a few tasks are
submitted at a time, those that the cluster has room for and a few more, by which an autoscaler sees what is needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from benchmark import __version__
from benchmark.core.cluster import connected
from benchmark.core.errors import UsageError
from benchmark.core.files import private_folder
from benchmark.images.readers.limits import VARIABLE
from benchmark.runs.sweeps import ray_task
from benchmark.runs.sweeps.cells import Cell, CellOutcome
from benchmark.runs.sweeps.ray_nodes import require_nodes
from benchmark.runs.sweeps.ray_task import Answer, Order, with_absolute_paths
from benchmark.runs.sweeps.work import run_cell

RETRIES = 5
"""How often a cell is started again after its node or its worker process was lost; our own errors are not repeated."""
WAITING = 4
"""Tasks that are submitted beyond what the cluster has room for."""
LOOK_SECONDS = 0.5
"""How often the driver asks for news."""
GRACE_SECONDS = 20.0
"""How long a cancelled cell may take to end: it finishes writing, and its state says that it can resume."""
TOLD = "the sweep stopped before this cell had ended: run it again, and the cell resumes"

Tell = Callable[[CellOutcome], None]


def run_cells(
    cells: Sequence[Cell],
    *,
    workers: int,
    fail_fast: bool,
    tell: Tell,
    address: str | None = None,
    processes: int = 1,
    cpus: float = 1.0,
    work: Callable[..., CellOutcome] = run_cell,
) -> list[CellOutcome]:
    """Run cells on a Ray cluster, and return what became of each, in order.

    Args:
        cells: what is run.
        workers: how many cells run at a time at most; 0 for as many as the cluster has room for.
        fail_fast: whether to stop all cells when one has failed.
        tell: called when a cell begins, with its run folder, whose run.log has what it prints; again where it begins
            on another node; and when it has ended.
        address: `auto` or `host:port` of a running cluster; None starts one on this machine.
        processes: training processes per cell, started by torchrun: each has a GPU, where the device is one.
        cpus: CPU cores that Ray reserves per training process.
        work: runs one cell, and is pickled by Ray.

    Raises UsageError and MachineError before anything is trained: where Ray is missing, the cluster cannot be reached,
    no node has what a cell demands, or a node does not see the data. Ctrl-C cancels all cells, which can resume.
    """
    if not cells:
        return []
    local_cpus = None if address is not None or workers <= 0 else _whole(workers * processes * cpus)
    with connected(address, cpus=local_cpus) as ray, _shared_file(cells) as shared:
        demand = _demand(ray, cells, processes, cpus)
        require_nodes(ray, cells, demand, shared)
        # A process of its own for each cell: the greatest memory of a stage is that of its process.
        environment = {"env_vars": threads(cpus) | _limits()}
        once = ray.remote(**demand, max_retries=RETRIES, retry_exceptions=False, max_calls=1, runtime_env=environment)
        task = once(ray_task.answer)
        order = Order(work, processes, __version__, shared, str(Path.cwd()))
        sweep = _Sweep(ray, task, _events(ray), order, iter(cells), workers, fail_fast, tell)
        try:
            return sweep.run()
        finally:
            sweep.cancel()


def _whole(cpus: float) -> int:
    return max(1, int(-(-cpus // 1)))


@contextmanager
def _shared_file(cells: Sequence[Cell]) -> Iterator[str]:
    """Write a file to the folder of runs, by which a node sees whether it has the same folder; remove it at the end."""
    runs = private_folder(cells[0].config.runs.absolute())
    path = runs / f".sweep-{time.time_ns():x}"
    path.touch()
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def _demand(ray: Any, cells: Sequence[Cell], processes: int, cpus: float) -> dict[str, float]:
    """Return what Ray reserves for a cell: all cells of a sweep get the same, so that they can be compared."""
    devices = {cell.config.device for cell in cells}
    for device in sorted(devices - {"auto", "cpu", "cuda", "cuda:0"}):
        raise UsageError(f"a Ray cluster chooses the GPU of a cell, and {device} names one", "give --device cuda")
    has_gpu = ray.cluster_resources().get("GPU", 0) > 0
    on_gpu = devices & {"cuda", "cuda:0"} or ("auto" in devices and has_gpu)
    return {"num_cpus": processes * cpus, "num_gpus": processes if on_gpu else 0}


def threads(cpus: float) -> dict[str, str]:
    """Return the environment that keeps a process to its cores, and that of the processes which it starts."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, int(cpus)))) | {"BENCH_PROCESSES": "1"}


def _limits() -> dict[str, str]:
    """Return the limit of file sizes that was given here, which a node would not know."""
    return {VARIABLE: os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}


def _events(ray: Any) -> Any:
    """Start the actor that collects what cells log, on the node of the driver: it is lost only with the driver."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(_Events).options(num_cpus=0, scheduling_strategy=here).remote()


class _Events:
    """Cells that have begun since it was last asked, and their run folders."""

    def __init__(self) -> None:
        self._begun: list[tuple[int, Path]] = []

    def began(self, index: int, folder: Path) -> None:
        self._begun.append((index, folder))

    def flush(self) -> None:
        """Return when all earlier calls of the caller are done: Ray keeps their order."""

    def take(self) -> list[tuple[int, Path]]:
        taken, self._begun = self._begun, []
        return taken


@dataclass
class _Sweep:
    """A sweep while it runs."""

    ray: Any
    task: Any
    events: Any
    order: Order
    waiting: Iterator[Cell]
    workers: int
    fail_fast: bool
    tell: Tell
    running: dict[Any, Cell] = field(default_factory=dict)
    """Tasks that were submitted and have not ended: a few, whatever the number of cells."""
    outcomes: list[CellOutcome] = field(default_factory=list)
    stopped: bool = False

    def run(self) -> list[CellOutcome]:
        """Submit and collect until all cells have ended."""
        self._submit()
        while self.running:
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=LOOK_SECONDS)
            self._hear()
            for ref in ready:
                self._collect(ref)
            if self.stopped:
                self._skip_all()
            else:
                self._submit()
        return sorted(self.outcomes, key=lambda outcome: outcome.cell.index)

    def cancel(self) -> None:
        """End all tasks that run: they are interrupted as by Ctrl-C, and killed where that takes too long."""
        refs = list(self.running)
        for force in (False, True):
            for ref in refs:
                self.ray.cancel(ref, force=force)
            if refs:
                refs = self.ray.wait(refs, num_returns=len(refs), timeout=GRACE_SECONDS)[1]
        self.running.clear()

    def _room(self) -> int:
        if self.workers > 0:
            return self.workers
        return int(self.ray.cluster_resources().get("CPU", 1)) + WAITING

    def _submit(self) -> None:
        room = self._room() - len(self.running)
        for cell in islice(self.waiting, max(0, room)):
            config = with_absolute_paths(cell.config)
            self.running[self.task.remote(replace(cell, config=config), self.order, self.events)] = cell

    def _hear(self) -> None:
        """Tell which cells have begun; an ended cell is still among `running`, as it is collected afterwards."""
        cells = {cell.index: cell for cell in self.running.values()}
        for index, folder in self.ray.get(self.events.take.remote()):
            if index in cells:
                self.tell(CellOutcome(cells[index], "running", _as_given(cells[index], folder)))

    def _collect(self, ref: Any) -> None:
        cell = self.running.pop(ref)
        outcome = self._outcome(cell, ref)
        self.outcomes.append(outcome)
        self.tell(outcome)
        self.stopped = self.stopped or (self.fail_fast and outcome.state == "failed")

    def _outcome(self, cell: Cell, ref: Any) -> CellOutcome:
        errors = self.ray.exceptions
        try:
            answer: Answer = self.ray.get(ref)
        except errors.TaskCancelledError:
            return CellOutcome(cell, "skipped", error=TOLD)
        except errors.RayTaskError as error:
            return CellOutcome(cell, "failed", error=f"{type(error.cause).__name__}: {error.cause}")
        except errors.RayError as error:
            return CellOutcome(cell, "failed", error=lost(error))
        return CellOutcome(cell, answer.state, _as_given(cell, answer.folder), answer.error, answer.seconds)

    def _skip_all(self) -> None:
        """Cancel what runs and mark it and all cells that were not started as skipped."""
        cells = list(self.running.values())
        self.cancel()
        for cell in (*cells, *self.waiting):
            self.outcomes.append(CellOutcome(cell, "skipped", error=TOLD))
            self.tell(self.outcomes[-1])


def _as_given(cell: Cell, folder: Path | None) -> Path | None:
    """Return a run folder below the folder of runs as the sweep names it: for a node it is a path from the root."""
    runs = cell.config.runs
    below = folder is not None and folder.is_relative_to(runs.absolute())
    return runs / folder.relative_to(runs.absolute()) if folder is not None and below else folder


def lost(error: Exception) -> str:
    """Explain in one sentence why Ray gave a task up."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"the cell was started {RETRIES + 1} times, and each time its node or its process was lost: {first}"
