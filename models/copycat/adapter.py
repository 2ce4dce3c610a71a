"""The positive control: a model that is known to copy a given share of its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.adapters.gaussian import Normal, fit_normal
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import read_arrays, read_json, write_arrays, write_json
from benchmark.core.types import Budget, Split, chunks, to_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Images

BATCH = 50
ARRAYS, OPTIONS = "copycat.npz", "copycat.json"


@dataclass
class Copycat:
    """A share `contamination` of transformed copies of training items, the rest from a low-rank normal distribution."""

    contamination: float = 1.0
    """Share of copies among the samples, in [0, 1]."""
    transform: str = "exact"
    """Transform of the copies: a name of `benchmark.images.planted_copies.PLANTED`."""

    def __post_init__(self) -> None:
        if not 0 <= self.contamination <= 1:
            raise UsageError(f"contamination is {self.contamination}", "give a share from 0 (no copies) to 1 (all)")
        self._pixels: Array | None = None
        self._normal: Normal | None = None
        self._check_transform()

    def _check_transform(self) -> None:
        from benchmark.images.planted_copies import PLANTED

        if self.transform not in PLANTED:
            raise UsageError(f"copycat has no transform {self.transform!r}", f"choose one of {', '.join(PLANTED)}")

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Store the split and fit the normal distribution, in seconds: folder, budget and device are not used."""
        if not len(train):
            raise UsageError("there are no items to copy", "give a training split that is not empty")
        self._pixels = train.pixels[train.rows]
        self._normal = fit_normal(train, seed)

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, *spatial); round(contamination * count) of them are copies.

        The seed decides which items are copied and where in the sequence the copies are.
        """
        if prompts is not None:
            raise UsageError("copycat takes no prompts", "leave them out")
        pixels, normal = self._fitted()
        sources = place_copies(len(pixels), round(self.contamination * count), count, seed)
        for part in chunks(count, BATCH):
            images = normal.draw(np.random.default_rng([seed, 1, part.start]), part.stop - part.start)
            copied = np.flatnonzero(sources[part] >= 0)
            if len(copied):
                images[copied] = self._transformed(to_images(pixels[sources[part][copied]]))
            yield images

    def _transformed(self, images: Images) -> Images:
        import torch

        from benchmark.images.planted_copies import PLANTED

        changed: Images = PLANTED[self.transform](torch.from_numpy(images)).clamp(-1, 1).numpy()
        return changed

    def _fitted(self) -> tuple[Array, Normal]:
        if self._pixels is None or self._normal is None:
            raise AdapterError("this copycat has not been trained", "call fit or load first")
        return self._pixels, self._normal

    def save(self, folder: Path) -> None:
        """Write options (JSON), and the training items with mean and axes of the normal distribution (npz)."""
        pixels, normal = self._fitted()
        write_arrays(folder / ARRAYS, pixels=pixels, mean=normal.mean, axes=normal.axes)
        write_json(folder / OPTIONS, asdict(self))

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises BadDataError or AdapterError that names the unreadable file."""
        adapter = cls(**read_json(folder / OPTIONS, dict))
        arrays = read_arrays(folder / ARRAYS, "pixels", "mean", "axes")
        adapter._pixels, adapter._normal = arrays["pixels"], Normal(arrays["mean"], arrays["axes"])
        return adapter


def place_copies(items: int, copies: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return which item each of count samples copies, or -1 for none, (count,).

    Items are copied in rounds, each a random permutation: no item is copied twice before every item was copied once.
    """
    rng = np.random.default_rng([seed, 0])
    rounds = -(-copies // items)
    order = np.concatenate([rng.permutation(items) for _ in range(rounds)])[:copies] if copies else np.empty(0, int)
    sources = np.full(count, -1, dtype=np.int64)
    sources[rng.permutation(count)[:copies]] = order
    return sources
