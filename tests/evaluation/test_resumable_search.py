"""A run's searches: the same outcome in any memory, with or without an index, cut off or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.core.types import Cohort, Split
from benchmark.detectors import fitting as fitted_module
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import Fitted, fit_detector
from benchmark.detectors.registry import choose
from benchmark.evaluation.protocol import Outcome, evaluate
from benchmark.evaluation.resumable_search import Searching
from benchmark.search import LEVELS, Rows, nearest

from .conftest import InMemory

SIZES = {"train": 120, "calibration": 80, "test": 60}
SIDE = 24


def levels(seed: int, count: int) -> np.ndarray:
    """Soft images of 8 bits, (count, 1, SIDE, SIDE)."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((count, 1, SIDE, SIDE)), (0, 0, 2, 2))
    return np.asarray(np.clip(128 + 50 * field / field.std(), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    pixels = levels(0, sum(SIZES.values()))
    splits, first = [], 0
    for name, count in SIZES.items():
        rows = np.arange(first, first + count)
        subjects, items = tuple(f"p{row // 2}" for row in rows), tuple(f"i{row}" for row in rows)
        splits.append(Split(name=name, pixels=pixels, rows=rows, subjects=subjects, items=items, channels=("x",)))
        first += count
    return Cohort(name="toy", key="k" * 16, train=splits[0], calibration=splits[1], test=splits[2])


@pytest.fixture(scope="module")
def synthetic(cohort: Cohort) -> InMemory:
    """Forty new items, and ten copies: five as they are, five flipped."""
    copies = cohort.train.stored(np.arange(10)).copy()
    copies[5:] = copies[5:, :, :, ::-1]
    return InMemory(np.concatenate([levels(1, 40), copies]))


Fit = Callable[..., Fitted]


@pytest.fixture
def fit(cohort: Cohort, tmp_path: Path) -> Fit:
    said: list[str] = []

    def fit(text: str) -> Fitted:
        return fit_detector(choose(text), cohort, cache=tmp_path / "cache", device="cpu", log=said.append)

    return fit


def outcome(fitted: Fitted, cohort: Cohort, items: InMemory, searching: Searching | None = None) -> Outcome:
    return evaluate(
        fitted.detector, bank_of(cohort, fitted), fitted.embed(items), kept=fitted.folder, seed=0,
        searching=searching or Searching(), advance=lambda *_, **__: None,
    )  # fmt: skip


def same(a: Outcome, b: Outcome) -> bool:
    tables = all(
        np.array_equal(left[name], right[name])
        for left, right in ((a.matches, b.matches), (a.members, b.members))
        for name in left
    )
    return tables and a.scores == b.scores and a.replicates == b.replicates and a.histograms == b.histograms


# Memory


@pytest.mark.parametrize("text", ["pixels", "pixels:residual=true", "pixels:transforms=flips", "random-conv"])
def test_memory_decides_nothing(
    fit: Fit, cohort: Cohort, synthetic: InMemory, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a tenth of what all pairs and training items need."""
    monkeypatch.setattr("benchmark.evaluation.planted_recall.COPIES", 10)
    fitted = fit(text)
    whole = outcome(fitted, cohort, synthetic)
    needed = len(cohort.train) * fitted.rows.dimension * 4 + 4 * len(synthetic) * sum(SIZES.values())
    assert same(whole, outcome(fitted, cohort, synthetic, Searching(memory=needed // 10)))


# An index


def test_an_index_decides_nothing_and_is_made_once(
    fit: Fit, cohort: Cohort, synthetic: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = outcome(fit("pixels"), cohort, synthetic)
    monkeypatch.setattr(fitted_module, "INDEXED_SIDE", 1)
    monkeypatch.setattr(fitted_module, "INDEXED_PIXELS", 1)
    made = fit("pixels")
    assert made.rows.index is not None
    assert same(plain, outcome(made, cohort, synthetic))
    monkeypatch.setattr("benchmark.search.index.Index.build", lambda *_, **__: pytest.fail("made again"))
    again = fit("pixels")
    assert isinstance(again.rows.index.coefficients.head, np.memmap)  # type: ignore[union-attr]
    assert same(plain, outcome(again, cohort, synthetic))


def test_no_index_of_anything_but_whole_grey_levels(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted_module, "INDEXED_SIDE", 1)
    monkeypatch.setattr(fitted_module, "INDEXED_PIXELS", 1)
    assert fit("pixels:channels=x").rows.index is None
    assert fit("pixels:residual=true").rows.index is None
    assert fit("random-conv").rows.index is None


def test_small_cohorts_get_no_index(fit: Fit) -> None:
    assert fit("pixels").rows.index is None


# Views


def test_flipped_copies_are_found_by_views_alone(fit: Fit, cohort: Cohort, synthetic: InMemory) -> None:
    plain, turned = (outcome(fit(text), cohort, synthetic) for text in ("pixels", "pixels:transforms=flips"))
    assert plain.matches["similarity"][40:45].tolist() == [1.0] * 5
    assert plain.matches["similarity"][45:].max() < 0.9  # type: ignore[operator]
    assert turned.matches["similarity"][40:].tolist() == [1.0] * 10
    assert turned.matches["train_row"][40:].tolist() == list(range(10))
    assert turned.members["similarity"][:10].tolist() == [1.0] * 10
    assert turned.members["synthetic"][:10].tolist() == list(range(40, 50))
    recall = {name: out.scores["detector.recall.flip"].value for name, out in (("plain", plain), ("turned", turned))}
    assert recall["turned"] == pytest.approx(1)
    assert recall["plain"] < 0.5  # type: ignore[operator]


# Cut off


class KilledError(Exception):
    """Stands for a signal."""


def test_a_search_cut_off_goes_on_from_its_last_block(
    fit: Fit, cohort: Cohort, synthetic: InMemory, tmp_path: Path
) -> None:
    fitted = fit("pixels")
    whole = outcome(fitted, cohort, synthetic)
    compared: list[int] = []
    searching = Searching(memory=100_000, folder=tmp_path / "search")

    def counting(stop_after: int | None) -> Fitted:
        def take(index: slice | np.ndarray) -> np.ndarray:
            rows = fitted.rows.take(index)
            compared.append(len(rows))
            if stop_after is not None and len(compared) > stop_after:
                raise KilledError
            return rows

        return replace(fitted, rows=replace(fitted.rows, take=take))

    assert same(whole, outcome(counting(None), cohort, synthetic, replace(searching, folder=tmp_path / "other")))
    total = len(compared)
    for stop_after in (total // 8, total // 2):
        compared.clear()
        with pytest.raises(KilledError):
            outcome(counting(stop_after), cohort, synthetic, searching)
    kept = sorted(path.name for path in (tmp_path / "search").glob("synthetic-*.npz"))
    assert kept
    assert kept[0].startswith("synthetic-000000000-")
    compared.clear()
    assert same(whole, outcome(counting(None), cohort, synthetic, searching))
    assert len(compared) < total


def test_progress_says_how_far_a_search_is() -> None:
    told: list[str] = []
    rows = Rows.of(levels(2, 30).reshape(30, -1), LEVELS)
    searching = Searching(memory=20_000, tell=told.append)
    assert np.array_equal(searching.nearest(rows, rows, keep="held-out").index, nearest(rows, rows).index)
    assert len(told) > 1
    assert told[0].startswith("held-out: ")
    assert told[-1] == "held-out: 100 %, 0 s left"


def test_an_interrupted_search_says_where_it_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1)  # every block is saved
    rows = Rows.of(levels(2, 30).reshape(30, -1), LEVELS)

    def stop(text: str) -> None:
        if " 50 %" in text:
            raise KilledError

    with pytest.raises(KilledError):
        Searching(memory=20_000, tell=stop, folder=tmp_path).nearest(rows, rows, keep="held-out")
    told: list[str] = []
    searching = Searching(memory=20_000, tell=told.append, folder=tmp_path, log=told.append)
    assert np.array_equal(searching.nearest(rows, rows, keep="held-out").index, nearest(rows, rows).index)
    assert told[0] == "held-out: resuming at image 15 of 30"
    assert told[-1] == "held-out: 100 %, 0 s left"
    told.clear()
    searching.nearest(rows, rows, keep="held-out")
    assert told == []


def test_interrupted_blocks_say_where_they_resume(tmp_path: Path) -> None:
    rows = Rows.of(levels(2, 30).reshape(30, -1), LEVELS)

    def means(part: slice, block: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": block.mean(axis=1)}

    told: list[str] = []
    searching = Searching(memory=50_000, folder=tmp_path, log=told.append)
    first = next(searching.reduced(rows, rows, means, keep="synthetic"))
    assert told == []
    assert len(list(searching.reduced(rows, rows, means, keep="synthetic"))) > 1
    assert told == [f"synthetic: resuming at image {len(first['mean'])} of 30"]
    assert len(list(searching.reduced(rows, rows, means, keep="synthetic"))) > 1
    assert len(told) == 1  # nothing is left to resume


def test_several_devices_share_a_search() -> None:
    rows = Rows.of(levels(3, 50).reshape(50, -1), LEVELS)
    alone, shared = (Searching(devices=devices).search(rows, rows, 3) for devices in (("cpu",), ("cpu", "cpu", "cpu")))
    assert np.array_equal(alone.index, shared.index)
    assert np.array_equal(alone.similarity, shared.similarity)
