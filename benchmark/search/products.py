"""Matrix products that are exact, or whose error has a proven bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.types import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

DEPTH = 512
"""Float32 products are summed over pieces of this many terms, which bounds their rounding error."""
EXACT_IN_FLOAT = 1024
"""So many products of 8-bit numbers add up exactly in float32, in any order."""
EXACT_IN_INT32 = 131_071
FEW = 8
"""Rows of fewer numbers are multiplied by NumPy: for rows of one, torch's int8 product returns what memory held."""


def float_error(dimension: int) -> float:
    """How far a float32 product of unit rows, summed in pieces of 512, can be from the exact one, in any order."""
    return float((min(DEPTH, dimension) + dimension / DEPTH + 4) * 2.0**-24)


def float_product(first: NDArray[np.float32], second: NDArray[np.float32], device: str = "cpu") -> NDArray[np.float32]:
    """Return first @ second.T, (n, m), within `float_error` for rows of length 1."""
    if device != "cpu":
        from benchmark.search.device import float_product as on_device

        return on_device(first, second, device)
    total = first[:, :DEPTH] @ second[:, :DEPTH].T
    for part in list(chunks(first.shape[1], DEPTH))[1:]:
        total += first[:, part] @ second[:, part].T
    return total


def level_product(first: NDArray[np.int8], second: NDArray[np.int8], device: str = "cpu") -> Array:
    """Return first @ second.T without rounding: (n, m), int32, or int64 for more than 131,071 terms."""
    if device != "cpu":
        from benchmark.search.device import level_product as on_device

        return on_device(first, second, device)
    if first.shape[1] < FEW:
        return first.astype(np.int32) @ second.astype(np.int32).T
    multiply = integer_engine()[1]
    if first.shape[1] <= EXACT_IN_INT32:
        return multiply(first, second)
    total = np.zeros((len(first), len(second)), dtype=np.int64)
    for part in chunks(first.shape[1], EXACT_IN_INT32 + 1 - 64):
        total += multiply(np.ascontiguousarray(first[:, part]), np.ascontiguousarray(second[:, part]))
    return total


@cache
def integer_engine() -> tuple[str, Callable[[Array, Array], Array]]:
    """Return the name of the int8 product that is exact on this machine, and the product."""
    rng = np.random.default_rng(0)
    trial = [np.where(rng.random((37, 1029)) < 0.5, -128, 127).astype(np.int8) for _ in range(2)]
    exact = trial[0].astype(np.int64) @ trial[1].astype(np.int64).T
    try:
        if np.array_equal(_torch_product(*trial), exact):
            return "int8 (torch)", _torch_product
    except (RuntimeError, AttributeError, ImportError):  # a private call of torch: absent or refused in some builds
        pass
    return "int8 in float32 (BLAS)", _float_pieces


@cache
def pair_seconds() -> float:
    """Return how long this machine takes for one product of two 8-bit numbers, as part of a large product."""
    rows = np.ones((512, 4096), dtype=np.int8)
    level_product(rows, rows)
    started = time.perf_counter()
    level_product(rows, rows)
    return (time.perf_counter() - started) / (len(rows) * rows.size)


def _torch_product(first: Array, second: Array) -> Array:
    import torch

    product: Array = torch._int_mm(torch.from_numpy(first), torch.from_numpy(second).t()).numpy()
    return product


def _float_pieces(first: Array, second: Array) -> Array:
    total = np.zeros((len(first), len(second)), dtype=np.int32)
    for part in chunks(first.shape[1], EXACT_IN_FLOAT):
        total += (first[:, part].astype(np.float32) @ second[:, part].astype(np.float32).T).astype(np.int32)
    return total


def threads() -> int:
    """Return how many threads torch may use: the one setting (OMP_NUM_THREADS) that all products and loops follow."""
    import torch

    return torch.get_num_threads()


def spread(count: int, work: Callable[[slice], Any], *, least: int = 1) -> None:
    """Call `work` on slices of range(count), one a thread; compiled loops run outside of Python's lock."""
    parts = list(chunks(count, max(least, -(-count // threads()))))
    if len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
