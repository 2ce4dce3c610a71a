"""Memory and time of the exact search against a plain matrix product, as the bank grows.

    python scripts/time_search.py [--queries 4000] [--bank 20000] [--dimension 128] [--limit-mib 64]

Prints, for M and 4 M bank items: the size of the full N x M matrix, the peak memory the search added, and its time over
that of a blocked float32 product of the same size (which decides nothing and is not exact).
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np

from benchmark.contracts import chunks
from benchmark.search import Rows, nearest

MIB = 2**20


def unit(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain(queries: np.ndarray, bank: np.ndarray) -> None:
    for part in chunks(len(queries), 256):
        (queries[part] @ bank.T).argmax(axis=1)


def timed(work: object, *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)  # type: ignore[operator]
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("queries", 4000), ("bank", 20000), ("dimension", 128), ("limit-mib", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    queries = unit(rng, options.queries, options.dimension)
    for size in (options.bank, 4 * options.bank):
        bank = unit(rng, size, options.dimension)
        ratio = []
        for _ in range(5):
            search = timed(lambda bank=bank: nearest(Rows.of(queries), Rows.of(bank), memory=options.limit_mib * MIB))
            ratio.append(search / timed(plain, queries, bank))
        tracemalloc.start()
        nearest(Rows.of(queries), Rows.of(bank), memory=options.limit_mib * MIB)
        peak = tracemalloc.get_traced_memory()[1] / MIB
        tracemalloc.stop()
        matrix = 4 * len(queries) * size / MIB
        print(
            f"N {len(queries)}, M {size}, D {options.dimension}: full matrix {matrix:.0f} MiB, "
            f"search added {peak:.0f} MiB (limit {options.limit_mib}), time over a plain product {np.median(ratio):.2f}"
        )


if __name__ == "__main__":
    main()
