"""What an evaluation makes of blocks of similarities stays within the memory of a search, also where no two images are
of one patient: maxima by patient are then as large as the block itself."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.types import Split
from benchmark.detectors.bank import Bank
from benchmark.evaluation import protocol
from benchmark.evaluation.literature import _near
from benchmark.evaluation.real_neighbours import real_neighbours
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.synthetic_search import search_synthetic
from benchmark.search import LEVELS, Rows

ITEMS, MEMORY = 3000, 3 << 20


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2 * ITEMS, 1, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def bank(pixels: np.ndarray) -> Bank:
    names = tuple(f"p{k}" for k in range(ITEMS))
    real = Split(
        name="real", pixels=pixels, rows=np.arange(ITEMS), subjects=names, items=names, channels=("x",), units=names
    )
    return Bank(real, Rows.of(pixels[:ITEMS].reshape(ITEMS, -1), LEVELS), train=2000, calibration=500)


def synthetic(pixels: np.ndarray) -> Rows:
    return Rows.of(pixels[ITEMS:].reshape(ITEMS, -1), LEVELS)


WORK: dict[str, Callable[[Bank, np.ndarray, Searching, Path], object]] = {
    "synthetic": lambda bank, pixels, searching, _: search_synthetic(bank, synthetic(pixels), searching, seed=0),
    "real": lambda bank, pixels, searching, folder: real_neighbours(bank, folder, searching, seed=0),
    "control": lambda bank, pixels, searching, _: protocol._control(bank, own_seed=0, searching=searching),
    "literature": lambda bank, pixels, searching, _: _near(
        bank, synthetic(pixels), np.arange(ITEMS), seed=0, searching=searching
    ),
}


@pytest.mark.parametrize("part", WORK)
def test_each_part_stays_within_the_memory_of_the_search(
    bank: Bank, pixels: np.ndarray, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["benchmark.search.blocks"], "WIDTH", 64
    )  # blocks are then as large as those of many images
    (tmp_path / "first").mkdir()
    whole = WORK[part](bank, pixels, Searching(memory=1 << 30), tmp_path / "first")  # compiles, too
    results = tmp_path / "second"
    results.mkdir()
    tracemalloc.start()
    try:
        limited = WORK[part](bank, pixels, Searching(memory=MEMORY), results)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * MEMORY  # all similarities: 36 MB
    assert same(whole, limited)


def same(first: object, second: object) -> bool:
    """Compare arrays within dataclasses."""
    if hasattr(first, "__dict__"):
        return all(same(value, getattr(second, name)) for name, value in vars(first).items())
    return np.array_equal(first, second)  # type: ignore[arg-type]
