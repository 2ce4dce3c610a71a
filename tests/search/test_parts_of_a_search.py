"""A search in parts: interrupted and resumed, shared among shards, computed on another device, and its progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.search import COSINE, LEVELS, PEARSON, Rows, SearchResult, device_products, piece, search, search_shards
from benchmark.search import device as on_device
from benchmark.search.rounding import EXACT_TERMS_INT32, float_error
from benchmark.search.shards import merged_shards, shards
from benchmark.search.uint8 import correlations, prepare_uint8

KINDS = ("levels", "pearson", "cosine", "codes")
MEMORY = 20000


@pytest.fixture(params=KINDS)
def sides(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Rows, Rows]:
    """Queries with a view and a bank, with ties, copies and constants, that `MEMORY` cuts into many blocks."""
    rng = np.random.default_rng(0)
    array = rng.integers(0, 9, (90, 48)).astype(np.uint8)
    array[70:] = array[20:40]
    array[[3, 30, 80]] = 7
    if request.param == "codes":
        monkeypatch.setattr("benchmark.search.engine.SHORT_ROW", 0)
    kind = {"levels": LEVELS, "pearson": PEARSON, "cosine": COSINE, "codes": PEARSON}[request.param]
    rows = (
        array
        if request.param == "levels"
        else array.astype(np.float32) + rng.standard_normal((90, 1)).astype(np.float32)
    )
    rows[70:] = rows[20:40]
    queries = rows[:25].copy()
    return Rows.of(queries, kind, (Rows.of(queries[:, ::-1].copy(), kind),)), Rows.of(rows[20:], kind)


def same(result: SearchResult, other: SearchResult) -> None:
    assert np.array_equal(result.index, other.index)
    assert np.array_equal(result.similarity, other.similarity)
    similar = result.similarity[:, 0] != 0
    assert np.array_equal(result.best.ties[similar] > 0, other.best.ties[similar] > 0)


class CutOffError(Exception):
    pass


def cut_after(blocks: int) -> Callable[[int], None]:
    """Stop a search when so many blocks are done."""
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += 1
        if done == blocks:
            raise CutOffError

    return advance


# Interrupted and resumed


@pytest.mark.parametrize("k", [1, 4, 200])
def test_a_search_that_was_interrupted_resumes_after_the_block(
    k: int, sides: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    steps: list[int] = []
    whole = search(*sides, k, memory=MEMORY, advance=steps.append)
    assert sum(steps) == 25 * 70
    assert 3 < len(steps) < 200
    for done in sorted({*range(1, len(steps), 7), 2, len(steps) - 1, len(steps)}):
        state = tmp_path / f"{done}.npz"
        with pytest.raises(CutOffError):
            search(*sides, k, memory=MEMORY, advance=cut_after(done), state=state)
        again: list[int] = []
        same(search(*sides, k, memory=MEMORY, advance=again.append, state=state), whole)
        assert again == steps[done:]
    assert not list(tmp_path.glob(".*.part"))  # no file was left half written


def test_a_search_interrupted_again_and_again_ends(
    sides: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    whole, state = search(*sides, 3, memory=MEMORY), tmp_path / "deep" / "state.npz"
    for _ in range(300):
        try:
            result = search(*sides, 3, memory=MEMORY, advance=cut_after(2), state=state)
        except CutOffError:
            continue
        break
    same(result, whole)
    same(search(*sides, 3, memory=MEMORY, state=state), whole)


def test_what_was_not_yet_saved_is_compared_again(sides: tuple[Rows, Rows], tmp_path: Path) -> None:
    """The file is written every ten seconds: blocks since then are redone, and change nothing."""
    whole = search(*sides, 3, memory=MEMORY)
    with pytest.raises(CutOffError):
        search(*sides, 3, memory=MEMORY, advance=cut_after(5), state=tmp_path / "state.npz")
    same(search(*sides, 3, memory=MEMORY, state=tmp_path / "state.npz"), whole)


def test_a_search_interrupted_while_it_is_saved_resumes_from_the_save_before(
    sides: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    whole, write, written = search(*sides, 3, memory=MEMORY), np.savez, 0

    def half(file: Any, **arrays: np.ndarray) -> None:
        nonlocal written
        written += 1
        if written == 4:
            file.write(b"PK")
            raise CutOffError
        write(file, **arrays)

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", half)
        with pytest.raises(CutOffError):
            search(*sides, 3, memory=MEMORY, state=tmp_path / "state.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".state.npz.seal", "state.npz"]
    steps: list[int] = []
    same(search(*sides, 3, memory=MEMORY, advance=steps.append, state=tmp_path / "state.npz"), whole)
    assert 0 < sum(steps) < 25 * 70


def test_a_finished_search_is_read(sides: tuple[Rows, Rows], tmp_path: Path) -> None:
    whole = search(*sides, 2, memory=MEMORY, state=tmp_path / "state.npz")

    def forbidden(which: Any) -> np.ndarray:
        rows = sides[1].take(which)
        assert len(rows) == 1  # one item shows how large items are
        return rows

    bank = Rows(70, sides[1].dimension, forbidden, sides[1].similarity)
    if bank.dimension > 2_048 or whole.certificate.engine.startswith("codes"):
        bank = sides[1]  # its direction is read first
    steps: list[int] = []
    same(search(sides[0], bank, 2, memory=MEMORY, advance=steps.append, state=tmp_path / "state.npz"), whole)
    assert not steps


@pytest.mark.parametrize("cut", [1, 5])
@pytest.mark.parametrize("memory", [6_000, 200_000])
def test_a_search_resumes_in_another_amount_of_memory(
    memory: int, cut: int, sides: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    with pytest.raises(CutOffError):
        search(*sides, 3, memory=MEMORY, advance=cut_after(cut), state=tmp_path / "state.npz")
    same(search(*sides, 3, memory=memory, state=tmp_path / "state.npz"), search(*sides, 3))


def test_a_resumed_search_returns_the_whole_certificate(
    sides: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.search.state.EVERY_SECONDS", -1.0)
    whole = search(*sides, 3, memory=MEMORY)
    with pytest.raises(CutOffError):
        search(*sides, 3, memory=MEMORY, advance=cut_after(5), state=tmp_path / "state.npz")
    resumed = search(*sides, 3, memory=MEMORY, state=tmp_path / "state.npz")
    assert resumed.certificate == whole.certificate
    read = search(*sides, 3, memory=MEMORY, state=tmp_path / "state.npz")
    assert read.certificate == whole.certificate


# Shards


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 70, 90])
@pytest.mark.parametrize("k", [1, 5, 200])
def test_shards_equal_the_whole_search(k: int, parts: int, sides: tuple[Rows, Rows]) -> None:
    whole = search(*sides, k)
    same(search_shards(*sides, k, devices=["cpu"] * parts, memory=parts * 30_000), whole)
    cut = shards(70, parts)
    assert [part.start for part in cut] == [0, *[part.stop for part in cut[:-1]]]
    assert cut[-1].stop == 70
    assert min(part.stop - part.start for part in cut) >= 1
    result = [search(sides[0], piece(sides[1], part), k) for part in cut]
    merged = merged_shards(result, cut, k)
    same(merged, whole)
    assert merged.certificate.constant_items == whole.certificate.constant_items
    assert merged.certificate.constant_queries == whole.certificate.constant_queries
    assert merged.best.values is merged.similarity


def test_pieces_are_the_same_items(sides: tuple[Rows, Rows]) -> None:
    for rows in sides:
        all_rows = rows.take(slice(0, rows.count))
        part = piece(piece(rows, slice(3, 23)), slice(2, 12))
        assert (part.count, part.dimension, part.similarity) == (10, rows.dimension, rows.similarity)
        assert np.array_equal(part.take(slice(0, 10)), all_rows[5:15])
        assert np.array_equal(part.take(slice(4, 99)), all_rows[9:15])
        assert np.array_equal(part.take(np.array([9, 0, 9])), all_rows[[14, 5, 14]])
        assert len(part.views) == len(rows.views)
        for view, other in zip(part.views, rows.views, strict=True):
            assert np.array_equal(view.take(slice(1, 3)), other.take(slice(6, 8)))


# Progress


@pytest.mark.parametrize("memory", [1, 5_000, 1 << 30])
def test_progress_adds_up_to_all_pairs(memory: int, sides: tuple[Rows, Rows]) -> None:
    steps: list[int] = []
    search(*sides, 2, memory=memory, advance=steps.append)
    assert sum(steps) == 25 * 70
    assert min(steps) > 0
    assert (len(steps) == 25 * 70) == (memory == 1)


# Another device: `cpu` by torch


@pytest.mark.parametrize("k", [1, 4, 60])
def test_the_engine_of_devices_equals_the_loops(
    k: int, make_images: Any, brute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    for kind in make_images.kinds:
        queries, bank = make_images.of(rng, kind, (30, 1, 6, 7)), make_images.of(rng, kind, (50, 1, 6, 7))
        queries[3], bank[[0, 8, 9]] = 200, 4
        bank[30:] = bank[:20]
        view = queries[:, ::-1].copy()
        given = Rows.of(queries, LEVELS, (Rows.of(view, LEVELS),))
        loops = search(given, Rows.of(bank, LEVELS), k, memory=9_000)
        with monkeypatch.context() as patched:
            patched.setattr("benchmark.search.engine.engine_for", lambda *given: on_device.DeviceEngine("cpu", 1 << 30))
            for memory in (9_000, 1 << 30):
                result = search(given, Rows.of(bank, LEVELS), k, memory=memory)
                assert result.certificate.engine == "int8 (device)"
                assert np.array_equal(result.index, loops.index)
                np.testing.assert_allclose(result.similarity, loops.similarity, rtol=0, atol=1e-15)
                assert result.certificate.constant_queries == loops.certificate.constant_queries
                assert result.certificate.constant_items == loops.certificate.constant_items
                vary = loops.similarity[:, 0] != 0
                assert np.array_equal(result.best.ties[vary] > 0, loops.best.ties[vary] > 0)


def test_constant_queries_count_as_tied_in_the_same_way_wherever_they_are_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = np.random.default_rng(9).integers(0, 256, (20, 40)).astype(np.uint8)
    queries, given = Rows.of(np.full((3, 40), 5, np.uint8), LEVELS), Rows.of(bank, LEVELS)
    loops = search(queries, given).certificate.tied
    assert search_shards(queries, given, devices=["cpu", "cpu"]).certificate.tied == loops
    monkeypatch.setattr("benchmark.search.engine.engine_for", lambda *given: on_device.DeviceEngine("cpu", 1 << 30))
    assert search(queries, given).certificate.tied == loops


def test_devices_count_an_item_that_a_later_view_ties_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """One view is nearest to the first item, a later view as near to it, and to the second item too."""
    first, second, third = (np.array(row) for row in ([1, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1]))
    bank, query, later = (
        (np.stack(rows) + 9).astype(np.uint8) for rows in ([first, second], [first + third], [first + second])
    )
    given, others = Rows.of(query, LEVELS, (Rows.of(later, LEVELS),)), Rows.of(bank, LEVELS)
    loops = search(given, others)
    assert (loops.index.item(), loops.similarity.item(), loops.certificate.tied) == (0, pytest.approx(0.5**0.5), 1)
    monkeypatch.setattr("benchmark.search.engine.engine_for", lambda *given: on_device.DeviceEngine("cpu", 1 << 30))
    result = search(given, others)
    assert (result.index.item(), result.similarity.item()) == (0, loops.similarity.item())
    assert result.certificate.tied == 1


@pytest.mark.parametrize("pixels", [1, 2, 7, 8, 1_000, EXACT_TERMS_INT32, EXACT_TERMS_INT32 + 1, (1 << 19) + 3])
def test_products_of_devices_are_exact(pixels: int) -> None:
    rng = np.random.default_rng(2)
    for n, m in ((1, 1), (3, 2), (17, 9), (25, 40)):
        a, b = (rng.choice(np.array([-128, 127], np.int8), (count, pixels)) for count in (n, m))
        wanted = a.astype(np.float64) @ b.astype(np.float64).T
        assert np.array_equal(device_products.level_product(a, b, "cpu"), wanted)
        if pixels > 1_000:
            break


@pytest.mark.parametrize("pixels", [30, 140_000, (1 << 19) + 3])
def test_correlations_of_devices_equal_the_loops(pixels: int, brute: Any) -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(250, 256, (5, pixels)).astype(np.uint8)
    rows[2] = 8
    block = prepare_uint8(rows)
    result = on_device.correlations(block, block, "cpu")
    assert np.array_equal(result, brute.levels(rows, rows).astype(np.float32))
    assert np.array_equal(correlations(block, block), result)
    np.testing.assert_allclose(
        on_device.DeviceBlock.of(block, "cpu").correlations(on_device.DeviceBlock.of(block, "cpu")).numpy(),
        brute.levels(rows, rows), rtol=0, atol=1e-15,
    )  # fmt: skip


@pytest.mark.parametrize("dimension", [3, 512, 700, 20_000])
def test_float_products_of_devices_are_within_their_error(dimension: int, brute: Any) -> None:
    rng = np.random.default_rng(4)
    rows = brute.unit(np.abs(rng.standard_normal((20, dimension))), centred=False).astype(np.float32)
    wide = rows.astype(np.float64)
    assert np.abs(device_products.float_product(rows, rows, "cpu") - wide @ wide.T).max() <= float_error(dimension)
