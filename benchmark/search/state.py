"""What a search has found so far, in a file: one that was cut off goes on, one that was finished is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.search.best import Best
from benchmark.storage import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERY_SECONDS = 10.0


@dataclass
class State:
    """The lists of all queries, which of them are to be compared block by block, and how many blocks are done."""

    path: Path | None
    best: Best
    left: NDArray[np.int64]
    blocks: int = 0
    started: bool = False
    """Whether the file was there."""
    _saved: float = 0.0

    @classmethod
    def open(cls, path: Path | None, count: int, depth: int) -> Self:
        """Read the file, or start with nothing found."""
        if path is not None and path.exists():
            with np.load(path) as file:
                best = Best(file["values"], file["places"], file["ties"])
                return cls(path, best, file["left"], int(file["blocks"]), started=True)
        return cls(path, Best.empty(count, depth), np.arange(count))

    def save(self, *, now: bool = False) -> None:
        """Write the file, at most every ten seconds unless it has to be now."""
        if self.path is None or not (now or time.monotonic() - self._saved > EVERY_SECONDS):
            return
        self._saved = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(
                file, values=self.best.values, places=self.best.places, ties=self.best.ties, left=self.left,
                blocks=self.blocks,
            )  # fmt: skip
