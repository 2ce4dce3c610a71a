"""Near duplicates across patients: the same image saved again, brightened, resized or slightly cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import chunks, patient_codes, to_images
from benchmark.search import Rows, blocks

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.core.types import Array

NEAR = 0.98
"""Pearson correlation of all pixels. Between different people it stayed below 0.97 on 4,707 X-rays, 13 brains, 207
hippocampi and 64 simulated patients, at 64 pixels per side, 24 for the volumes (scripts/near_pairs.py)."""
SIDES = {2: 16, 3: 8}
"""Thumbnails by dimensions: what is alike in full is alike in small, so these find the candidates."""
AT_ONCE = 256


@dataclass(frozen=True)
class NearPair:
    """Two items of two patients that look the same, by row of the table."""

    first: int
    second: int
    correlation: float


def find_near(pixels: Array, table: pd.DataFrame, *, least: float = NEAR) -> tuple[NearPair, ...]:
    """Return pairs of different patients whose correlation is at least `least`, the nearest first.

    Args:
        pixels: (M, C, *spatial), as stored.
        table: their rows (columns subject, sha); equal pixels are exact duplicates, and not repeated here.
        least: smallest correlation.
    """
    small = _unit(np.concatenate([_thumbnails(pixels[part]) for part in chunks(len(pixels), AT_ONCE)]))
    patients, exact = patient_codes(tuple(table["subject"])), patient_codes(tuple(table["sha"]))
    pairs = []
    for part, block in blocks(Rows.of(small), Rows.of(small)):
        first, second = np.nonzero(block >= least)
        first = first + part.start
        kept = (first < second) & (patients[first] != patients[second]) & (exact[first] != exact[second])
        pairs += [pair for pair in _verified(pixels, first[kept], second[kept]) if pair.correlation >= least]
    return tuple(sorted(pairs, key=lambda pair: (-pair.correlation, pair.first, pair.second)))


def _thumbnails(pixels: Array) -> Array:
    """Average items (n, C, *spatial) over areas, (n, C x thumbnail), float32."""
    import torch

    images = torch.from_numpy(to_images(pixels))
    dims = images.ndim - 2
    sides = [min(SIDES[dims], side) for side in images.shape[2:]]
    small: Array = torch.nn.functional.interpolate(images, sides, mode="area").flatten(1).numpy()
    return small


def _unit(rows: Array) -> Array:
    centred = rows - rows.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: Array = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-6)
    return unit


def _verified(pixels: Array, first: Array, second: Array) -> list[NearPair]:
    pairs = []
    for part in chunks(len(first), AT_ONCE):
        left, right = (_unit(to_images(pixels[rows[part]]).reshape(len(rows[part]), -1)) for rows in (first, second))
        correlations = (left * right).sum(1)
        pairs += [
            NearPair(int(a), int(b), float(c)) for a, b, c in zip(first[part], second[part], correlations, strict=True)
        ]
    return pairs
