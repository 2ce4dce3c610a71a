"""The log of a training: `log.jsonl`, TensorBoard, and the trackers of the run. A resumed training repeats no line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmark.core.files import atomic_write
from benchmark.training.trackers import track


class LogWriter(Protocol):
    """A function that logs the scalars of a step."""

    def __call__(self, step: int, **scalars: float | str) -> None:
        """Append one line; numbers also go to TensorBoard and to the trackers of the run."""


@contextmanager
def training_log(folder: Path, done: int, *, label: str = "training", silent: bool = False) -> Iterator[LogWriter]:
    """Open the log in folder after `done` steps, and drop its lines about later steps; a silent one writes nothing.

    `label` tells the trainings of one run apart in its trackers.
    """
    if silent:
        yield lambda step, **scalars: None
        return
    from benchmark.training.event_file import EventFile

    path = folder / "log.jsonl"
    _drop_lines_after(path, done)
    board = EventFile(folder / "tensorboard", first=done + 1)
    with path.open("a", encoding="utf-8") as lines:

        def write(step: int, **scalars: float | str) -> None:
            lines.write(json.dumps({"step": step, **scalars}) + "\n")
            lines.flush()
            board.add(step, {name: value for name, value in scalars.items() if not isinstance(value, str)})
            track(label, step, scalars)

        try:
            yield write
        finally:
            board.close()


def _drop_lines_after(path: Path, done: int) -> None:
    # The log is written more often than the checkpoint: steps after the last checkpoint are trained and logged again.
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= done]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # the process was killed while it wrote this line
