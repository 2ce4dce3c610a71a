"""What a search has found so far, in a file: an interrupted search resumes from it, a finished one is read."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.core.sealed import is_intact, sealed_write
from benchmark.search.topk import Best

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERY_SECONDS = 10.0
"""Seconds between two saves: an interrupted search repeats at most that much, and files of many queries cost little."""


@dataclass
class State:
    """The lists of all queries, those that are compared block by block, how many blocks are done, and counts."""

    path: Path | None
    plan: tuple[int, ...]
    """Sizes of both sides, of their lists and blocks: a file of another plan is not resumed."""
    best: Best
    remaining: NDArray[np.int64]
    """(n,) queries for the product; the index has answered the others."""
    blocks: int = 0
    engines: set[str] = field(default_factory=set)
    scored: int = 0
    constant_queries: int = 0
    constant_items: int = 0
    started: bool = False
    """Whether there was a file of this plan: which queries the index answered is then decided."""
    _saved: float = 0.0

    @classmethod
    def open(cls, path: Path | None, plan: tuple[int, ...], count: int, depth: int) -> Self:
        """Read the file, or start with empty lists (count, depth)."""
        if path is not None and is_intact(path):
            with np.load(path) as file:
                if tuple(file["plan"]) == plan:
                    best = Best(file["values"], file["places"], file["ties"])
                    blocks, scored, queries, items = (int(number) for number in file["counts"])
                    engines = {str(name) for name in file["engines"]}
                    return cls(path, plan, best, file["left"], blocks, engines, scored, queries, items, started=True)
        return cls(path, plan, Best.empty(count, depth), np.arange(count))

    def save(self, *, now: bool = False) -> None:
        """Write the file, at most every `EVERY_SECONDS` unless `now`."""
        if self.path is None or not (now or time.monotonic() - self._saved > EVERY_SECONDS):
            return
        self._saved = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with sealed_write(self.path) as temporary, temporary.open("wb") as file:
            np.savez(
                file, plan=np.array(self.plan), values=self.best.values, places=self.best.places, ties=self.best.ties,
                left=self.remaining, engines=np.array(sorted(self.engines), dtype=str),
                counts=np.array([self.blocks, self.scored, self.constant_queries, self.constant_items]),
            )  # fmt: skip
