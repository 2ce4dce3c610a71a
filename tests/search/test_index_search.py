"""The index: bounds that are never below the exact value, and so the same answers from a part of the bank."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.search import LEVELS, Rows, piece, search
from benchmark.search import index_bounds as bounds
from benchmark.search.index import Index, Stored
from benchmark.search.index_projection import SLACK, Grid, Projection
from benchmark.search.topk import Best
from benchmark.search.uint8 import prepare_uint8

SHAPES = (
    (1, 1, 1), (1, 2, 3), (1, 7, 5), (1, 65, 67), (3, 9, 11), (1, 129, 130), (40, 5, 3), (70, 13, 2), (2, 40, 33),
    (1, 5, 7, 3), (2, 17, 18, 19), (1, 33, 3, 20), (600, 3, 5), (1, 1, 300), (1, 200, 1),
)  # fmt: skip


@pytest.fixture(autouse=True)
def for_ten_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index answers for any number of nearest items; that it saves time only for one does not matter here."""
    monkeypatch.setattr("benchmark.search.engine.INDEX_NEIGHBOURS", 10)


def stored(rows: np.ndarray) -> Stored:
    return Stored(rows, np.arange(len(rows)))


def banked(rows: np.ndarray, shape: tuple[int, ...]) -> Rows:
    """A bank with its index."""
    return replace(Rows.of(rows, LEVELS), index=Index.build(stored(rows), shape))


def scanned(index: Index, queries: np.ndarray, k: int) -> tuple[Best, np.ndarray]:
    best = Best.empty(len(queries), k)
    return best, index.scan(prepare_uint8(queries), best)


def hard_items(rng: np.random.Generator, make_images: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Items of every kind, with copies, negatives and constants among them."""
    rows = [make_images.of(rng, kind, (5, *shape)) for kind in make_images.kinds]
    rows.append(np.stack([255 - rows[2][0], rows[2][0], np.full_like(rows[2][0], 9)]))
    size = math.prod(shape)
    blocky = np.repeat(rng.integers(0, 2, (4, -(-size // 4))) * 255, 4, axis=1)[:, :size].astype(np.uint8)
    changed = blocky.copy()
    changed[:, : size // 2 : 3] ^= 1
    rows += [blocky, changed, np.tile(np.array([[0, 255], [254, 1]], np.uint8), size)[:, :size]]
    return np.concatenate(rows)


# Bounds


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_bound_is_below_the_exact_value(shape: tuple[int, ...], brute: Any, make_images: Any) -> None:
    rng = np.random.default_rng(0)
    rows = hard_items(rng, make_images, shape)
    exact = brute.levels(rows, rows)
    for sample in (rows, rows[:1], rows[-8:]):  # directions decide how close a bound is, never whether it holds
        projection = Projection.fitted(Grid.of(shape), [prepare_uint8(sample)])
        ours = projection.of(prepare_uint8(rows))
        upper = ours.head @ ours.head.T
        assert (upper >= exact - SLACK).all()
        for q in range(0, len(rows), 3):
            for j in range(len(rows)):
                bound = upper[q, j]
                for codes, facts in ((ours.coarse, ours.facts[:, 0:4]), (ours.fine, ours.facts[:, 4:8])):
                    closer = bounds._narrowed_bound(bound, codes[j], facts[j], codes[q], facts[q])
                    assert exact[q, j] - SLACK <= closer <= bound
                    bound = closer


def test_what_boxes_leave_is_measured_before_it_is_rounded(brute: Any) -> None:
    """Boxes of one level but for a few pixels, a grey level up and its neighbour down, and an image of those pixels.

    Boxes hold all but 1e-7 of the energy. Rounded to float32 they would seem to hold it all, and the bound would be 0.
    """
    rng = np.random.default_rng(1)
    fine = np.zeros((128, 128), np.int64)
    fine[16:128:32, 16:128:32], fine[16:128:32, 17:128:32] = 1, -1
    rows = [128 + 100 * fine]
    for bright in rng.integers(100, 4_000, 120):
        levels = np.repeat([254, 1], [bright, 4_096 - bright])
        blocks = np.kron(rng.permutation(levels).reshape(64, 64), np.ones((2, 2), np.int64))
        rows.append(blocks + fine)
    array = np.stack(rows).reshape(len(rows), -1).astype(np.uint8)
    ours = Projection.fitted(Grid.of((1, 128, 128)), [prepare_uint8(array)]).of(prepare_uint8(array))
    exact = brute.levels(array, array)
    assert exact[0, 1:].min() > 2e-4  # or the test could not fail
    assert (ours.head @ ours.head.T >= exact - SLACK).all()


def test_boxes_add_up_every_pixel_once() -> None:
    rng = np.random.default_rng(2)
    for shape in SHAPES:
        rows = rng.integers(-128, 128, (3, math.prod(shape))).astype(np.int8)
        grid = Grid.of(shape)
        sums = grid.sums(rows)
        assert np.array_equal(sums.sum(axis=1), rows.astype(np.int64).sum(axis=1))
        deep = rows.reshape(3, *shape).astype(np.int64)
        for axis, edge in enumerate(grid.edges, start=2):
            deep = np.stack([deep.take(range(a, b), axis).sum(axis) for a, b in pairwise(edge)], axis)
        assert np.array_equal(sums, deep.reshape(3, -1))
        assert (grid.areas**2).sum() == pytest.approx(rows.shape[1], rel=1e-12)
        assert np.bincount(grid.parents, weights=grid.shares**2) == pytest.approx(1, rel=1e-6)
        large = shape[0] * math.prod(-(-(len(edge) - 1) // 2) for edge in grid.edges)
        assert len(np.unique(grid.parents)) == grid.parents[-1] + 1 == large


# Answers


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_answers_equal_integer_arithmetic(
    shape: tuple[int, ...], threads: int, brute: Any, make_images: Any, with_threads: Callable[[int], None]
) -> None:
    with_threads(threads)
    rng = np.random.default_rng([3, threads])
    for kind in make_images.kinds:
        bank = make_images.of(rng, kind, (int(rng.integers(1, 120)), *shape))
        bank[rng.random(len(bank)) < 0.1] = 5
        queries = np.concatenate([make_images.of(rng, kind, (20, *shape)), bank[:3], bank[-1:] ^ 1, bank[:1] * 0])
        values, k = brute.levels(queries, bank), min(len(bank), int(rng.choice([1, 2, 10])))
        best, counts = scanned(Index.build(stored(bank), shape), queries, k)
        known = counts[:, bounds.ABANDONED] == 0
        wanted = brute.order(values, k)
        assert np.array_equal(best.places[known], wanted[known])
        assert np.array_equal(best.values[known], np.take_along_axis(values, wanted, axis=1)[known])
        assert (best.places[~known] == -1).all()
        assert np.isneginf(best.values[~known]).all()
        vary = known & (np.ptp(queries, axis=1) > 0)
        tied = (values == values.max(axis=1)[:, None]).sum(axis=1) > 1
        assert np.array_equal(best.ties[vary] > 0, tied[vary])
        assert known.all() or len(bank) > 16


@pytest.mark.parametrize("takes", ["all", "few"])
@pytest.mark.parametrize("kind", ["smooth", "noise", "alike", "near ties"])
def test_a_search_with_an_index_equals_integer_arithmetic(
    kind: str, takes: str, brute: Any, make_images: Any, the_index_takes: Callable[[str], None]
) -> None:
    the_index_takes(takes)
    rng = np.random.default_rng(4)
    shape = (1, 21, 17)
    bank, queries = make_images.of(rng, kind, (400, *shape)), make_images.of(rng, kind, (300, *shape))
    queries[5], queries[250], queries[251], bank[7] = 4, bank[390], bank[3], bank[3]
    values, given = brute.levels(queries, bank), banked(bank, shape)
    for k in (1, 3, 10, 11):
        steps: list[int] = []
        result = search(Rows.of(queries, LEVELS), given, k, advance=steps.append)
        wanted = brute.order(values, k)
        assert np.array_equal(result.index, wanted)
        assert np.array_equal(result.similarity, np.take_along_axis(values, wanted, axis=1))
        assert sum(steps) == 300 * 400
        assert ("index" in result.certificate.engine) == (k <= 10)
        assert result.certificate.constant_queries == (np.ptp(queries, axis=1) == 0).sum()
        tied = (values == values.max(axis=1)[:, None]).sum(axis=1) > 1
        assert result.certificate.tied == tied[np.ptp(queries, axis=1) > 0].sum()


def test_constant_items_are_counted_with_an_index(make_images: Any, the_index_takes: Callable[[str], None]) -> None:
    the_index_takes("all")
    rng = np.random.default_rng(5)
    bank = make_images.of(rng, "smooth", (200, 1, 30, 30))
    bank[[4, 9]] = 3
    queries = Rows.of(make_images.of(rng, "smooth", (80, 1, 30, 30)), LEVELS)
    with_index, without = search(queries, banked(bank, (1, 30, 30))), search(queries, Rows.of(bank, LEVELS))
    assert with_index.certificate.constant_items == without.certificate.constant_items == 2


def test_smooth_images_are_read_in_small_part_and_noise_is_abandoned(make_images: Any) -> None:
    rng = np.random.default_rng(6)
    shape = (1, 64, 64)
    for kind, queries in (("smooth", 50), ("noise", 50)):
        rows = make_images.of(rng, kind, (1_500 + queries, *shape))
        _, counts = scanned(Index.build(stored(rows[queries:]), shape), rows[:queries], 1)
        if kind == "smooth":
            assert not counts[:, bounds.ABANDONED].any()
            assert counts[:, bounds.VERIFIED].mean() < 15
        else:
            assert counts[:, bounds.ABANDONED].all()


@pytest.mark.parametrize("takes", ["all", "few"])
def test_the_best_view_of_a_query_counts(
    takes: str, brute: Any, make_images: Any, the_index_takes: Callable[[str], None]
) -> None:
    the_index_takes(takes)
    rng = np.random.default_rng(7)
    for kind in ("smooth", "noisy", "alike"):
        bank, queries = make_images.of(rng, kind, (150, 1, 20, 20)), make_images.of(rng, kind, (140, 1, 20, 20))
        flipped = queries.reshape(-1, 20, 20)[:, :, ::-1].reshape(-1, 400).copy()
        moved = np.roll(queries, 1, axis=1)
        moved[::9] = 77
        bank[:3] = flipped[:3]
        values = np.max([brute.levels(one, bank) for one in (queries, flipped, moved)], axis=0)
        given = Rows.of(queries, LEVELS, (Rows.of(flipped, LEVELS), Rows.of(moved, LEVELS)))
        for k in (1, 4):
            result = search(given, banked(bank, (1, 20, 20)), k)
            wanted = brute.order(values, k)
            assert np.array_equal(result.index, wanted)
            assert np.array_equal(result.similarity, np.take_along_axis(values, wanted, axis=1))


# Parts, and what is kept


def test_an_interrupted_search_with_an_index_resumes(
    brute: Any,
    make_images: Any,
    tmp_path: Path,
    the_index_takes: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Noise: the index abandons its queries, and the plain product takes all, block by block."""
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    the_index_takes("few")
    rng = np.random.default_rng(14)
    shape = (1, 16, 16)
    bank = np.concatenate([make_images.of(rng, kind, (100, *shape)) for kind in ("smooth", "noise")])
    queries = np.concatenate([make_images.of(rng, kind, (100, *shape)) for kind in ("smooth", "noise")])
    values, given, memory = brute.levels(queries, bank), banked(bank, shape), 120_000
    wanted, steps = brute.order(values, 2), []

    def run(cut: int) -> None:
        told: list[int] = []

        def advance(done: int) -> None:
            told.append(done)
            if len(told) == cut:
                raise KeyboardInterrupt

        try:
            result = search(Rows.of(queries, LEVELS), given, 2, memory=memory, advance=advance, state=state)
            assert np.array_equal(result.index, wanted)
            assert np.array_equal(result.similarity, np.take_along_axis(values, wanted, axis=1))
        finally:
            steps.append(told)

    state = tmp_path / "whole.npz"
    run(-1)
    (whole,) = steps
    assert sum(whole) == 200 * 200
    assert len(whole) > 6
    for cut in range(1, len(whole) + 1):
        state, steps = tmp_path / f"{cut}.npz", []
        with pytest.raises(KeyboardInterrupt):
            run(cut)
        kept = state.exists()
        run(-1)
        assert steps[1] == (whole[cut:] if kept else whole)
        assert kept or cut <= 2  # nothing is kept while the index is tried


def test_a_part_of_an_index_is_the_index_of_a_part(brute: Any, make_images: Any) -> None:
    rng = np.random.default_rng(8)
    shape = (1, 15, 16)
    bank, queries = make_images.of(rng, "noisy", (90, *shape)), make_images.of(rng, "noisy", (12, *shape))
    whole = banked(bank, shape)
    assert whole.index is not None
    for part in (slice(0, 90), slice(0, 1), slice(30, 61), slice(89, 90)):
        values, k = brute.levels(queries, bank[part]), min(3, part.stop - part.start)
        wanted = brute.order(values, k)
        best, counts = scanned(whole.index.part(part), queries, k)
        known = counts[:, bounds.ABANDONED] == 0
        assert np.array_equal(best.places[known], wanted[known])
        assert np.array_equal(best.values[known], np.take_along_axis(values, wanted, axis=1)[known])
        assert np.array_equal(search(Rows.of(queries, LEVELS), piece(whole, part), 3).index, wanted)
        again = search(Rows.of(queries, LEVELS), piece(piece(whole, slice(0, 90)), part), 3)
        assert np.array_equal(again.index, wanted)


def test_a_bank_that_is_some_rows_of_a_cohort_in_another_order(brute: Any, make_images: Any) -> None:
    rng = np.random.default_rng(9)
    shape = (1, 12, 12)
    cohort, queries = make_images.of(rng, "smooth", (150, *shape)), make_images.of(rng, "smooth", (40, *shape))
    where = rng.permutation(150)[:100]
    best, counts = scanned(Index.build(Stored(cohort, where), shape), queries, 2)
    known = counts[:, bounds.ABANDONED] == 0
    wanted = brute.order(brute.levels(queries, cohort[where]), 2)
    assert known.any()
    assert np.array_equal(best.places[known], wanted[known])


@pytest.mark.parametrize("shape", [(1, 30, 31), (2, 5, 6, 7)], ids=str)
def test_an_index_is_saved_and_opened_memory_mapped(shape: tuple[int, ...], tmp_path: Path, make_images: Any) -> None:
    rng = np.random.default_rng(10)
    rows = make_images.of(rng, "noisy", (120, *shape))
    np.save(tmp_path / "pixels.npy", rows[20:])
    on_disk = stored(np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    done: list[int] = []
    made = Index.build(on_disk, shape, advance=done.append)
    assert sum(done) == 100
    assert Index.open(tmp_path / "index", on_disk) is None
    made.save(tmp_path / "index")
    opened = Index.open(tmp_path / "index", on_disk)
    assert opened is not None
    assert isinstance(opened.coefficients.head, np.memmap)
    assert not opened.coefficients.head.flags.writeable
    first, first_counts = scanned(made, rows[:20], 4)
    second, second_counts = scanned(opened, rows[:20], 4)
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.places, second.places)
    assert np.array_equal(first_counts, second_counts)
    assert opened.projection.grid.shape == shape


def test_a_half_written_index_is_not_opened(tmp_path: Path, make_images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted before any of its files: there is nothing to open."""
    rows = make_images.of(np.random.default_rng(11), "smooth", (10, 1, 8, 8))
    made = Index.build(stored(rows), (1, 8, 8))
    made.save(tmp_path / "whole")
    files, write = len(list((tmp_path / "whole").iterdir())), np.save
    for cut in range(files):
        written = 0

        def cut_off(path: Path, array: np.ndarray) -> None:
            nonlocal written
            if written == cut:  # noqa: B023  # called within this iteration
                raise KeyboardInterrupt
            written += 1
            write(path, array)

        with monkeypatch.context() as patched:
            patched.setattr(np, "save", cut_off)
            with pytest.raises(KeyboardInterrupt):
                made.save(tmp_path / str(cut))
        assert Index.open(tmp_path / str(cut), stored(rows)) is None
        made.save(tmp_path / str(cut))
        assert Index.open(tmp_path / str(cut), stored(rows)) is not None


def test_an_index_of_another_number_of_items_is_not_opened(tmp_path: Path, make_images: Any) -> None:
    rows = make_images.of(np.random.default_rng(12), "smooth", (10, 1, 8, 8))
    Index.build(stored(rows), (1, 8, 8)).save(tmp_path)
    assert Index.open(tmp_path, stored(rows[:9])) is None
    assert Index.open(tmp_path, stored(rows)) is not None


def test_the_sample_that_directions_are_taken_from_never_decides(brute: Any, make_images: Any) -> None:
    """An index of 700 items, whose directions a memory of 256 items at once must not bend."""
    rng = np.random.default_rng(13)
    shape = (3, 6, 5)
    bank, queries = make_images.of(rng, "noisy", (700, *shape)), make_images.of(rng, "noisy", (300, *shape))
    best, counts = scanned(Index.build(stored(bank), shape), queries, 1)
    known = counts[:, bounds.ABANDONED] == 0
    wanted = brute.order(brute.levels(queries, bank), 1)
    assert np.array_equal(best.places[known], wanted[known])
