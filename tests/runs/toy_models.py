"""Models that break their contract, each in one way; and one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from benchmark.core.types import Budget, Images, Split


@dataclass
class Noise:
    """Draws white noise of the cohort's shape."""

    size: int = 32

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Nothing to learn."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        rng = np.random.default_rng(seed)
        yield rng.uniform(-1, 1, (count, 1, self.size, self.size)).astype(np.float32)

    def save(self, folder: Path) -> None:
        (folder / "size.txt").write_text(str(self.size))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        return cls(size=int((folder / "size.txt").read_text()))


class NotFinite(Noise):
    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        for batch in super().sample(count, seed=seed):
            batch[3, 0, 0, 0] = np.nan
            yield batch


class Crashes(Noise):
    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        raise ZeroDivisionError("the learning rate was 0")


class Collapsed(Noise):
    """Every sample is black: resembles nothing, and must not break the evaluation."""

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        yield np.full((count, 1, self.size, self.size), -1, dtype=np.float32)


class Diskful(Noise):
    def save(self, folder: Path) -> None:
        raise OSError(28, "No space left on device")
