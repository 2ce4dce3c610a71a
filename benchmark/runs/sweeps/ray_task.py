"""What a Ray task does with one cell on a node: it prints to run.log, and returns an outcome that is small."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cohorts.open import listed_training
from benchmark.core.cluster_nodes import missing_on_this_node, node_name
from benchmark.core.errors import AdapterError
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome, State
from benchmark.runs.sweeps.work import LOG

LOOK_SECONDS = 0.2
"""How often torchrun is looked after."""
STANDARD = (1, 2)
"""File numbers of standard output and standard error."""


@dataclass(frozen=True)
class Order:
    """What a node needs to run a cell, the same for all cells of a sweep."""

    work: Callable[..., CellOutcome]
    processes: int
    """Training processes, started by torchrun where more than one."""
    version: str
    shared: str
    """A file that the submitting node has written to the folder of results; empty where nothing is shared."""
    home: str
    """The folder in which the sweep was started: `./file.py:Class` and paths among options start there."""


@dataclass(frozen=True)
class Answer:
    """An outcome without its cell, which the driver has: some hundred bytes, kept by the driver and not by a node.

    It is therefore not lost with the node that computed it.
    """

    state: State
    folder: Path | None
    error: str
    seconds: float


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return a configuration that means the same in another folder: processes of Ray start elsewhere."""
    data = config.data
    listed = listed_training(data)
    paths = {"root": data.root and data.root.absolute(), "exclude": data.exclude and data.exclude.absolute()}
    changed = data.model_copy(update={**paths, "trained_on": str(listed.absolute()) if listed else data.trained_on})
    return config.model_copy(update={"data": changed, "runs": config.runs.absolute(), "cache": config.cache.absolute()})


def read_by(config: RunConfig) -> tuple[str, ...]:
    """Return the folders and files that a configuration names as read, as absolute paths."""
    named = (config.data.root, config.data.exclude, listed_training(config.data))
    return tuple(str(path.absolute()) for path in named if path is not None)


def answer(cell: Cell, order: Order, events: Any) -> Answer:
    """Run a cell on this node; the actor `events` hears when it begins."""
    import ray

    if Path(order.home).is_dir():
        os.chdir(order.home)
    lacking = missing_on_this_node(order.version, read_by(cell.config), order.shared)
    if lacking:
        return Answer("failed", None, lacking, 0.0)

    def began(folder: Path) -> None:
        prints.enter_context(_printing_to(folder / LOG))
        print(f"on node {node_name()}", flush=True)  # noqa: T201
        events.began.remote(cell.index, folder)
        if order.processes > 1:
            by_torchrun(cell.config, order.processes)  # the run that follows finds all stages finished

    with ExitStack() as prints:
        try:
            outcome = order.work(cell, began=began)
        finally:
            ray.get(events.flush.remote())  # the driver hears of the beginning before it has the outcome
    return Answer(outcome.state, outcome.folder, outcome.error, outcome.seconds)


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append to a file what this process, its libraries and the processes that it starts print.

    At the end they print to Ray's files again: what Ray itself says when its process ends is not about the cell.
    """
    before = [os.dup(number) for number in STANDARD]
    with path.open("ab", buffering=0) as file:
        _redirect([file.fileno()] * len(STANDARD))
    try:
        yield
    finally:
        _redirect(before)
        for number in before:
            os.close(number)


def _redirect(files: list[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for file, number in zip(files, STANDARD, strict=True):
        os.dup2(file, number)


def by_torchrun(config: RunConfig, processes: int, module: str = "benchmark.runs.sweeps.ray_rank") -> None:
    """Run a configuration in several training processes on this node. Raises AdapterError with what they say.

    `module` is what each process runs, with two arguments: the configuration, and a file for the reason of a failure.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, reason = Path(folder) / "run.toml", Path(folder) / "error.txt"
        config.write(path)
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
            "-m", module, str(path), str(reason),
        ]  # fmt: skip
        with subprocess.Popen(command, preexec_fn=_end_with_parent) as torchrun:  # noqa: S603
            try:
                # Ray interrupts a cell between two instructions of Python, so that no call may wait for long.
                while torchrun.poll() is None:
                    time.sleep(LOOK_SECONDS)
            finally:
                torchrun.terminate()  # nothing where it has ended; else it ends its processes
        if torchrun.returncode:
            said = reason.read_text(encoding="utf-8") if reason.exists() else f"exit code {torchrun.returncode}"
            raise AdapterError(f"training in {processes} processes failed: {said}", f"{LOG} in the run folder has more")


def _end_with_parent() -> None:
    """Let the kernel end this process with the one that started it, even if that is killed (Linux)."""
    import ctypes
    import signal

    death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    ctypes.CDLL(None).prctl(death_signal, signal.SIGTERM)
