"""A search by the tasks of a Ray cluster equals that of one process, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core.cluster import connected
from benchmark.evaluation.resumable_search import Searching
from benchmark.search import COSINE, LEVELS, PEARSON, Rows, SearchResult, search, similarities
from benchmark.search import cluster_search as module
from benchmark.search.cluster_search import SearchCluster, as_file, configured_cluster, from_file, joined, write_rows


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with connected(None, cpus=2) as connection:
        yield connection


def rows(kind: str, count: int, seed: int, *, views: bool = False) -> Rows:
    """Rows with many ties (few levels), some of zero variance, and more numbers than a short row has."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (count, 120)).astype(np.uint8)
    values[:: max(1, count // 5)] = 1
    values[3 * count // 4 :] = values[: count - 3 * count // 4]  # the same image in several shards
    if kind == "levels":
        return Rows.of(values, LEVELS, (Rows.of(values[:, ::-1].copy(), LEVELS),) if views else ())
    floats = values.astype(np.float32)
    if kind == "pearson":
        return Rows.of(floats, PEARSON, (Rows.of(floats[:, ::-1].copy(), PEARSON),) if views else ())
    return Rows.of(floats / np.maximum(1e-9, np.linalg.norm(floats, axis=1, keepdims=True)), COSINE)


def assert_same(one: SearchResult, other: SearchResult) -> None:
    assert one.index.tobytes() == other.index.tobytes()
    assert one.similarity.tobytes() == other.similarity.tobytes()
    assert one.best.ties.tobytes() == other.best.ties.tobytes()
    for name in ("constant_queries", "constant_items", "tied"):
        assert getattr(one.certificate, name) == getattr(other.certificate, name)


@pytest.mark.parametrize("kind", ["levels", "pearson", "cosine"])
def test_one_two_and_four_shards_are_the_same_as_one_process(
    ray: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BLOCK", 40)  # three blocks of queries
    queries, bank = rows(kind, 90, 1, views=True), rows(kind, 201, 2)
    alone = search(queries, bank, 5)
    assert alone.certificate.tied > 0
    for shards in (1, 2, 4):
        told: list[int] = []
        result = SearchCluster(ray, tmp_path, shards=shards).search(queries, bank, 5, advance=told.append)
        assert_same(result, alone)
        assert sum(told) == 90 * 201
    assert not list(tmp_path.iterdir())  # the files of the rows are removed


def test_all_similarities_of_a_block(ray: Any, tmp_path: Path) -> None:
    queries, bank = rows("levels", 60, 3, views=True), rows("levels", 130, 4)
    with SearchCluster(ray, tmp_path, shards=4).bank(bank) as compare:
        for part in (slice(10, 50), slice(50, 60)):  # the bank is written once, the queries each time
            assert compare(queries, part).tobytes() == similarities(queries, part, bank).tobytes()
    assert not list(tmp_path.iterdir())


def test_rows_are_computed_by_tasks_from_images_that_do_not_travel(ray: Any, tmp_path: Path) -> None:
    bank = rows("pearson", 300, 5)
    np.save(tmp_path / "images.npy", bank.take(slice(0, 300)))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    marks = tmp_path / "embedded.txt"

    def embed(which: Any) -> Any:
        with marks.open("a") as file:
            file.write(f"{os.getpid()} {type(images).__name__}\n")
        return np.asarray(images[which])

    embedded = Rows(300, 120, embed, PEARSON, embedded=True)
    queries = rows("pearson", 40, 6)
    assert_same(SearchCluster(ray, tmp_path / "work", shards=2).search(queries, embedded), search(queries, bank))
    lines = marks.read_text().splitlines()
    assert lines
    assert all(line.endswith(" memmap") for line in lines)
    assert str(os.getpid()) not in {line.split()[0] for line in lines}


def test_a_mapped_array_is_sent_as_its_path_and_a_part_of_one_as_values(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(12.0).reshape(3, 4))
    whole = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert as_file(whole)[0] == str(tmp_path / "a.npy")
    assert len(as_file(whole[1:])) == 1
    for array in (whole, whole[1:], whole[:, ::2]):
        assert np.array_equal(from_file(as_file(array)), array)


def test_rows_in_files_are_the_rows(tmp_path: Path) -> None:
    given = rows("levels", 300, 7, views=True)
    stored = write_rows(given, tmp_path / "rows").rows()
    assert stored.take(slice(0, 300)).dtype == np.uint8
    assert np.array_equal(stored.take(slice(0, 300)), given.take(slice(0, 300)))
    assert np.array_equal(stored.views[0].take(slice(5, 9)), given.views[0].take(slice(5, 9)))


def test_blocks_of_queries_are_joined_in_order() -> None:
    queries, bank = rows("pearson", 50, 8), rows("pearson", 80, 9)
    halves = [Rows.of(queries.take(part), PEARSON) for part in (slice(0, 20), slice(20, 50))]
    assert_same(joined([search(half, bank, 3) for half in halves]), search(queries, bank, 3))


def test_an_evaluation_searches_on_the_cluster_that_the_environment_names(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, bank = rows("levels", 30, 10), rows("levels", 70, 11)
    with configured_cluster(tmp_path, device="cpu", memory=1 << 28) as none:
        assert none is None
    monkeypatch.setenv("BENCH_SEARCH_CLUSTER", "auto")
    with configured_cluster(tmp_path, device="cpu", memory=1 << 28) as cluster:
        assert cluster is not None
        told: list[str] = []
        searching = Searching(cluster=cluster, tell=told.append)
        assert_same(searching.search(queries, bank, 2, keep="held-out"), Searching().search(queries, bank, 2))
        (blocks,) = searching.reduced(queries, bank, lambda part, block: {"block": block}, keep="synthetic")
        (same,) = Searching().reduced(queries, bank, lambda part, block: {"block": block}, keep="synthetic")
        ((part, all_pairs),) = searching.blocks(queries, bank)
    assert blocks["block"].tobytes() == same["block"].tobytes() == all_pairs.tobytes()
    assert part == slice(0, 30)
    assert told[-1].startswith("synthetic: 100 %")


def test_a_task_searches_alone(ray: Any, tmp_path: Path) -> None:
    def cluster_of_a_task(folder: Path) -> bool:
        os.environ["BENCH_SEARCH_CLUSTER"] = "auto"
        with configured_cluster(folder, device="cpu", memory=1 << 28) as cluster:
            return cluster is not None

    assert ray.get(ray.remote(cluster_of_a_task).remote(tmp_path)) is False
