"""Detector `pixels`: Pearson correlation over all pixels and channels, the measure of Akbar et al. (2305.07644)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.search import COSINE

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images, Similarity, Split


@dataclass(frozen=True)
class Options:
    """The options of `pixels`."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Pixels:
        """Return the detector."""
        return Pixels()


@dataclass(frozen=True)
class Pixels:
    """Pearson correlation of two items: the inner product of their centred, normalised pixels."""

    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = ("exact", "contrast", "noise", "recode")

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, C * pixels); a constant image becomes a zero row: like nothing."""
        rows = images.reshape(len(images), -1).astype(np.float64)
        rows -= rows.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        tiny = lengths < 1e-6 * np.sqrt(rows.shape[1])
        return np.where(tiny, 0.0, rows / np.where(tiny, 1.0, lengths)).astype(np.float32)
