"""What a training leaves to read: `log.jsonl`, and TensorBoard's scalars. A resumed training repeats no line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmark.core.files import atomic_write


class Write(Protocol):
    """Call it with a step's scalars."""

    def __call__(self, step: int, **scalars: float | str) -> None:
        """Append one line; numbers also go to TensorBoard."""


@contextmanager
def training_log(folder: Path, done: int, *, silent: bool = False) -> Iterator[Write]:
    """Open folder's log at step `done`, forgetting what was logged of later steps; silent ones write nothing."""
    if silent:
        yield lambda step, **scalars: None
        return
    from torch.utils.tensorboard import SummaryWriter

    path = folder / "log.jsonl"
    _forget_after(path, done)
    board = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
    with path.open("a", encoding="utf-8") as lines:

        def write(step: int, **scalars: float | str) -> None:
            lines.write(json.dumps({"step": step, **scalars}) + "\n")
            lines.flush()
            for name, value in scalars.items():
                if not isinstance(value, str):
                    board.add_scalar(name, value, step)

        try:
            yield write
        finally:
            board.close()


def _forget_after(path: Path, done: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= done]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut off by a kill
