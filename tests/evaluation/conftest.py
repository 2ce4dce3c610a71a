"""A small cohort whose images tell every split, patient and unit apart, and the correlations of all pairs by NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.types import Cohort, Images, Split
from benchmark.detectors.bank import Bank, bank_of
from benchmark.detectors.fitting import Fitted, fit_detector
from benchmark.detectors.registry import choose

PATIENTS = {"train": 40, "calibration": 40, "test": 24}
SIDE = 8


class InMemory:
    """Images in memory, (N, 1, SIDE, SIDE) uint8."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def stored(self, index: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.pixels[index])

    def images(self, index: slice | np.ndarray) -> Images:
        return np.asarray(self.stored(index) / np.float32(127.5) - 1, dtype=np.float32)


def grey(values: np.ndarray) -> np.ndarray:
    return np.clip(128 + 40 * values, 0, 255).round().astype(np.uint8)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of all pairs, one np.corrcoef each of (n, ...) and (m, ...)."""
    a, b = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (first, second))
    return np.asarray(np.corrcoef(a, b)[: len(a), len(a) :])


def numbered(names: tuple[str, ...]) -> np.ndarray:
    """Numbers of names in the order of their first appearance."""
    known = list(dict.fromkeys(names))
    return np.array([known.index(name) for name in names])


def by_unit(matrix: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The greatest similarity to each unit, (n, units)."""
    return np.stack([matrix[:, units == unit].max(axis=1) for unit in range(units.max() + 1)], axis=1)


@dataclass
class World:
    """A cohort, samples, and the similarities of all pairs."""

    cohort: Cohort
    samples: InMemory
    to_real: np.ndarray
    """(N, M)"""
    between: np.ndarray
    """(M, M)"""

    @property
    def train(self) -> int:
        return len(self.cohort.train)

    @property
    def calibration(self) -> int:
        return len(self.cohort.calibration)

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Units of training and of held-out images, each from 0."""
        return numbered(self.cohort.train.dealt), numbered(self.cohort.heldout.dealt)

    @property
    def all_units(self) -> np.ndarray:
        return numbered(self.cohort.real.dealt)


def small_cohort(seed: int = 0) -> Cohort:
    """Patients have one to three images that are alike; two pairs of patients share an image (one unit each).

    The first four held-out patients of either split resemble a training patient, without being copies. Rows of the
    split are not in the order of the pixels, so that a position taken for a row shows.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(3 * sum(PATIENTS.values()))
    pixels = np.zeros((len(order), 1, SIDE, SIDE), np.uint8)
    splits, row, person, known = [], 0, 0, []
    for name, count in PATIENTS.items():
        rows, subjects, units = [], [], []
        for number in range(count):
            own = rng.standard_normal((1, SIDE, SIDE))
            if name != "train" and number < 4:
                own = 0.5 * own + (0.3 + 0.1 * number) * known[30 + number + 4 * (name == "test")]
            known.append(own)
            for _ in range(1 + (person % 3)):
                pixels[order[row]] = grey(own + 0.3 * rng.standard_normal(own.shape))
                rows.append(order[row])
                subjects.append(f"p{person}")
                units.append(f"p{person}")
                row += 1
            person += 1
            if name != "calibration" and number == 5:  # the patient before this one gets an image that is shared
                pixels[rows[-1]] = pixels[rows[subjects.index(f"p{person - 2}")]]
                joined = {f"p{person - 2}", f"p{person - 1}"}
                units = [" = ".join(sorted(joined)) if unit in joined else unit for unit in units]
        splits.append(
            Split(
                name=name, pixels=pixels, rows=np.array(rows), subjects=tuple(subjects),
                items=tuple(f"i{place}" for place in rows), channels=("x",), units=tuple(units),
            )
        )  # fmt: skip
    return Cohort(name="small", key="k" * 16, train=splits[0], calibration=splits[1], test=splits[2])


COPIED = 14
"""Samples 0 .. 13 copy training images with a little noise, no two of one patient but for the unit of two patients."""


def some_samples(cohort: Cohort) -> InMemory:
    """Copies of training images, less exact copies, samples near to held-out patients, and new images."""
    rng = np.random.default_rng(1)
    firsts = np.unique(numbered(cohort.train.subjects), return_index=True)[1]
    chosen, degraded = firsts[:COPIED], firsts[COPIED + 2 : COPIED + 8]
    near = cohort.heldout.stored(np.arange(9, 120, 12))

    def noisy(images: np.ndarray, noise: float) -> np.ndarray:
        return np.clip(images + rng.normal(0, 40 * noise, images.shape), 0, 255).round().astype(np.uint8)

    parts = [
        noisy(cohort.train.stored(chosen), 0.02), noisy(cohort.train.stored(degraded), 0.9), noisy(near, 0.8),
        grey(rng.standard_normal((60, 1, SIDE, SIDE))),
    ]  # fmt: skip
    return InMemory(np.concatenate(parts))


@pytest.fixture(scope="session")
def world() -> World:
    cohort = small_cohort()
    samples, real = some_samples(cohort), cohort.real.stored()
    return World(cohort, samples, correlations(samples.pixels, real), correlations(real, real))


@pytest.fixture(scope="session")
def fitted(world: World, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    cache = tmp_path_factory.mktemp("cache")
    return fit_detector(choose("pixels"), world.cohort, cache=cache, device="cpu", log=lambda _: None)


@pytest.fixture(scope="session")
def bank(world: World, fitted: Fitted) -> Bank:
    return bank_of(world.cohort, fitted)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder in which nothing is kept yet."""
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder
