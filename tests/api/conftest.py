"""Films of simulated patients in memory, and detectors that are over in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from benchmark.detectors import copy as copy_detector
from benchmark.evaluation import suspects

SIDE = 24
TRAIN, HELDOUT, OTHERS = range(24), range(24, 48), range(48, 88)


def smooth(rng: np.random.Generator, cells: int) -> np.ndarray:
    """A random field of SIDE x SIDE pixels that changes over SIDE / cells pixels, about -1 to 1."""
    field = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(field).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def film(patient: int, number: int = 0) -> np.ndarray:
    """One film of a patient, uint8: shared anatomy, the patient's own shape, and the film's own texture."""
    shared, own = smooth(np.random.default_rng(10**6), 4), smooth(np.random.default_rng(patient), 6)
    texture = smooth(np.random.default_rng([patient, number]), 12)
    return np.clip(128 + 45 * shared + 40 * own + 15 * texture, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Sets:
    """Two films per training and held-out patient, one of each other patient; the first synthetic ones are copies."""

    train: np.ndarray
    heldout: np.ndarray
    synthetic: np.ndarray
    patients: dict[str, list[str]]
    copied: dict[int, int]
    """Synthetic to training images."""


def make_sets(copies: int) -> Sets:
    """Sets of which the first synthetic images are flipped training images."""
    train, heldout = (np.stack([film(p, n) for p in side for n in range(2)]) for side in (TRAIN, HELDOUT))
    synthetic = np.stack([film(p) for p in OTHERS])
    copied = {number: 2 * number for number in range(copies)}
    for number, source in copied.items():
        synthetic[number] = train[source][:, ::-1]
    ids = {name: [f"P{p}" for p in side for _ in range(2)] for name, side in (("train", TRAIN), ("heldout", HELDOUT))}
    return Sets(train, heldout, synthetic, ids, copied)


@pytest.fixture(scope="session")
def sets() -> Sets:
    """With 8 copies among 40 synthetic images."""
    return make_sets(8)


@dataclass(frozen=True)
class SmallOptions(copy_detector.Options):
    """The copy detector's options, small."""

    size: int = 24
    width: int = 8
    steps: int = 30
    batch_size: int = 16


@pytest.fixture(scope="session", autouse=True)
def fast() -> Callable[[], None]:
    """Train the copy detector for seconds, and align few suspects; nothing else is changed."""
    patch = pytest.MonkeyPatch()
    patch.setattr(copy_detector, "Options", SmallOptions)
    patch.setattr(suspects, "ALIGNED", 10)
    yield
    patch.undo()
