"""The real images that a watched training is compared with, small enough for a comparison in seconds.

By default, images are averaged over areas to about 4,096 pixels per channel, and compared by Pearson correlation. That
finds copies up to changes of grey levels and noise. It is no weaker as a control: with any similarity the sides of
patients are exchangeable if nobody was copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import chunks, join_splits, patient_codes, to_pixels
from benchmark.metrics.competition import Nearest, join, nearest_of_patients, tie_seed
from benchmark.search import LEVELS, Rows, block_parts, similarities, subject_maxima

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Images, Split

SIDES = {1: 4096, 2: 64, 3: 16}
"""Largest side of an image by its number of axes: 4,096 pixels per channel."""
AT_ONCE = 256
ALIKE = 1e-6
"""Similarities that differ by less are ties: float32 rounds to about 1e-7."""


@dataclass(frozen=True)
class Comparison:
    """What samples are compared with."""

    bank: Rows
    """Rows of all real images: train first, then held-out."""
    embed: Callable[[Images], Rows]
    """Maps images (n, C, *spatial) to rows."""
    train: NDArray[np.int64]
    """(M_train,) patient of each training image, from 0."""
    heldout: NDArray[np.int64]
    """(M_heldout,) patient of each held-out image, from 0."""
    seed: int
    """Seed of the order of patients that decides ties."""

    @property
    def patients(self) -> tuple[int, int]:
        """Training and held-out patients."""
        return int(self.train.max()) + 1, int(self.heldout.max()) + 1

    def compare(self, images: Images) -> tuple[Nearest, float]:
        """Return the nearest patient of each image (n, C, *spatial), and the share that is as near to both sides."""
        queries, blocks, ties = self.embed(images), [], 0
        for part in block_parts(queries, self.bank):
            block = similarities(queries, part, self.bank)
            by_train = subject_maxima(block[:, : len(self.train)], self.train)
            by_heldout = subject_maxima(block[:, len(self.train) :], self.heldout)
            blocks.append(nearest_of_patients(by_train, by_heldout, seed=self.seed))
            ties += int((np.abs(by_train.max(axis=1) - by_heldout.max(axis=1)) <= ALIKE).sum())
        return join(blocks), ties / len(images)


def by_pixels(train: Split, heldout: Split) -> Comparison:
    """Compare small images by Pearson correlation: no training, seconds to prepare."""
    rows = np.concatenate(
        [small_rows(split.images(part)) for split in (train, heldout) for part in chunks(len(split), AT_ONCE)]
    )
    return comparison(train, heldout, Rows.of(rows, LEVELS), lambda images: Rows.of(small_rows(images), LEVELS))


def comparison(train: Split, heldout: Split, bank: Rows, embed: Callable[[Images], Rows]) -> Comparison:
    """Return the comparison by any rows of the training images, then the held-out images."""
    sides = patient_codes(train.dealt), patient_codes(heldout.dealt)
    return Comparison(bank, embed, *sides, tie_seed(join_splits("real", train, heldout).dealt, 0))


def small_images(images: Images) -> Images:
    """Average images (n, C, *spatial) over areas, to at most `SIDES` pixels per axis."""
    import torch
    from torch.nn.functional import interpolate

    most = SIDES[images.ndim - 2]
    size = tuple(min(side, most) for side in images.shape[2:])
    if size == images.shape[2:]:
        return images
    small: Images = interpolate(torch.from_numpy(images), size=size, mode="area").numpy()
    return small


def small_rows(images: Images) -> Array:
    """Map images (n, C, *spatial) in [-1, 1] to rows of grey levels (n, D), uint8."""
    return to_pixels(small_images(images), "uint8").reshape(len(images), -1)
