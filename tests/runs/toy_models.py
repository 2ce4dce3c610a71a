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


@dataclass
class Told(Noise):
    """A text-to-image model whose images follow the numbers in the prompt; `copies` of training prompts are copied."""

    copies: float = 0.0

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        self.known = dict(zip(train.captions or (), train.images(), strict=True))

    @property
    def prompted(self) -> bool:
        return True

    @property
    def pipeline(self) -> object:
        return object()

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        rng = np.random.default_rng(seed)
        for prompt in prompts or ():
            if prompt in self.known and rng.random() < self.copies:
                yield self.known[prompt][None]
            else:
                yield self._follow(prompt, rng)[None]

    def _follow(self, prompt: str, rng: np.random.Generator) -> Images:
        told = np.array([int(word) for word in prompt.split() if word.isdigit()], dtype=np.float32).reshape(8, 8)
        image = np.kron(told, np.ones((self.size // 8, self.size // 8), dtype=np.float32)) / 127.5 - 1
        return np.clip(image + rng.normal(0, 0.1, image.shape), -1, 1).astype(np.float32)[None]

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "copies.txt").write_text(str(self.copies))
        np.savez(folder / "known.npz", texts=np.array(list(self.known)), images=np.stack(list(self.known.values())))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        adapter = cls(size=int((folder / "size.txt").read_text()), copies=float((folder / "copies.txt").read_text()))
        with np.load(folder / "known.npz") as known:
            adapter.known = dict(zip(known["texts"].tolist(), known["images"], strict=True))
        return adapter
