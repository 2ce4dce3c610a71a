"""How many planted copies a detector finds: known training images after a known transformation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import patient_codes
from benchmark.detectors.fitting import rows_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.core.types import Detector, Match
    from benchmark.detectors.bank import Bank
    from benchmark.search import Rows

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

COPIES = 200
"""Training images that are copied: recall is then known to about 3 % (one standard error at 0.8, patients apart)."""


@dataclass(frozen=True)
class Planted:
    """The training images that are copied, (n,) of each."""

    positions: Codes
    """Where they stand in the training split, ascending."""
    codes: Codes
    """Their patients, from 0."""
    train_codes: Codes
    """The unit of every training image, (M,): a copy counts as found where its own patient is nearest, or a patient who
    shares an image with it: of two equal images either may be named."""


def choose_planted(bank: Bank, *, seed: int) -> Planted:
    """Choose up to COPIES training images at random."""
    order = np.random.default_rng([seed, bank.train]).permutation(bank.train)
    positions = np.sort(order[:COPIES])
    train_codes = patient_codes(bank.real.dealt[: bank.train])
    return Planted(positions, patient_codes([bank.real.subjects[position] for position in positions]), train_codes)


def embed_planted(detector: Detector, bank: Bank, planted: Planted, transformation: Callable[[Tensor], Tensor]) -> Rows:
    """Transform the chosen images and embed them, n rows."""
    import torch

    images = transformation(torch.from_numpy(bank.real.images(planted.positions)))
    return rows_in_memory(detector, images.contiguous().numpy())


def found_copies(match: Match, planted: Planted, tau: float) -> Flags:
    """Return which copies, (n,), are nearest to an image of their own patient, and more similar to it than tau."""
    own = planted.train_codes[match.index] == planted.train_codes[planted.positions]
    return np.asarray((match.similarity > tau) & own)
