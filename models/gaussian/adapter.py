"""The baseline: a normal distribution with few principal components, fitted to the training images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.adapters.gaussian import Normal, fit_normal
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import read_arrays, read_json, write_arrays, write_json
from benchmark.core.types import Budget, Split, chunks

if TYPE_CHECKING:
    from benchmark.core.types import Images

BATCH = 50
ARRAYS, OPTIONS = "gaussian.npz", "gaussian.json"


@dataclass
class Gaussian:
    """Mean image plus principal components with independent normal coefficients."""

    components: int = 16
    """Largest number of principal components; never more than one for every fifty training items."""

    def __post_init__(self) -> None:
        if self.components < 1:
            raise UsageError(f"components is {self.components}", "give at least 1")
        self._normal: Normal | None = None

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Fit in closed form; this takes seconds: folder, budget and device are not used."""
        if not len(train):
            raise UsageError("there are no items to fit to", "give a training split that is not empty")
        self._normal = fit_normal(train, seed, self.components)

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count samples in batches (n, C, *spatial), clipped to [-1, 1]."""
        if prompts is not None:
            raise UsageError("gaussian takes no prompts", "leave them out, or choose a text-to-image model")
        normal = self._fitted()
        for part in chunks(count, BATCH):
            yield normal.draw(np.random.default_rng([seed, part.start]), part.stop - part.start)

    def save(self, folder: Path) -> None:
        """Write options (JSON), and mean and axes of the normal distribution (npz)."""
        normal = self._fitted()
        write_arrays(folder / ARRAYS, mean=normal.mean, axes=normal.axes)
        write_json(folder / OPTIONS, asdict(self))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises BadDataError or AdapterError that names the unreadable file."""
        adapter = cls(**read_json(folder / OPTIONS, dict))
        arrays = read_arrays(folder / ARRAYS, "mean", "axes")
        adapter._normal = Normal(arrays["mean"], arrays["axes"])
        return adapter

    def _fitted(self) -> Normal:
        if self._normal is None:
            raise AdapterError("this gaussian has not been trained", "call fit or load first")
        return self._normal
