"""What a Ray task does with one cell on a node: it forwards each line of the run's log, and returns a small outcome."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cohorts.open import listed_training
from benchmark.core.cluster_nodes import missing_on_this_node, node_name
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import Cell, CellOutcome, State

LOOK_SECONDS = 0.2
"""How often torchrun is looked after."""
LAST_LINES = 5
"""Lines of torchrun's log that explain its failure."""
Line = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What a node needs to run a cell, the same for all cells of a sweep."""

    work: Callable[[Cell], CellOutcome]
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
    """Run a cell on this node; `events` is an actor that takes lines of the log."""
    import ray

    if Path(order.home).is_dir():
        os.chdir(order.home)
    lacking = missing_on_this_node(order.version, read_by(cell.config), order.shared)
    if lacking:
        return Answer("failed", None, lacking, 0.0)

    def line(text: str) -> None:
        events.put.remote(cell.index, text)

    events.started.remote(cell.index, node_name())
    try:
        with _lines_of_stderr(line):
            failure = by_torchrun(cell.config, order.processes, line) if order.processes > 1 else ""
            if failure:
                return Answer("failed", None, failure, 0.0)
            # After torchrun, this finds all stages finished.
            outcome = order.work(cell)
    finally:
        ray.get(events.flush.remote())  # the driver hears all lines before the outcome
    return Answer(outcome.state, outcome.folder, outcome.error, outcome.seconds)


@contextlib.contextmanager
def _lines_of_stderr(line: Line) -> Iterator[None]:
    with contextlib.redirect_stderr(_Lines(line)):
        yield


class _Lines(io.TextIOBase):
    """A text file that hands each finished line on."""

    def __init__(self, line: Line) -> None:
        self._line, self._rest = line, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for one in filter(None, lines):
            self._line(one)
        return len(text)


def by_torchrun(config: RunConfig, processes: int, line: Line) -> str:
    """Run a configuration in several training processes on this node; return why they failed, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.toml"
        config.write(path)
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
            "-m", "benchmark.runs.sweeps.ray_rank", str(path),
        ]  # fmt: skip
        last: deque[str] = deque(maxlen=LAST_LINES)
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=_end_with_parent,
        ) as torchrun:  # fmt: skip
            reader = threading.Thread(target=_forward, args=(torchrun.stderr, line, last))
            reader.start()
            try:
                # Ray interrupts a cell between two instructions of Python: reading a pipe would not be interrupted.
                while torchrun.poll() is None:
                    time.sleep(LOOK_SECONDS)
            finally:
                torchrun.terminate()  # nothing where it has ended; else it ends its processes
                reader.join()
    return "" if torchrun.returncode == 0 else f"torchrun ended with code {torchrun.returncode}: {' | '.join(last)}"


def _forward(stderr: Iterable[str], line: Line, last: deque[str]) -> None:
    for text in stderr:
        line(text.rstrip("\n"))
        last.append(text.strip())


def _end_with_parent() -> None:
    """Let the kernel end this process with the one that started it, even if that is killed (Linux)."""
    import ctypes
    import signal

    death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    ctypes.CDLL(None).prctl(death_signal, signal.SIGTERM)
