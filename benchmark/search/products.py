"""Matrix products that are exact, or whose error has a proven bound (`rounding`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import chunks
from benchmark.search.rounding import EXACT_TERMS_FLOAT32, EXACT_TERMS_INT32, INT32_PIECE, PIECE_TERMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

FEW_NUMBERS = 8
"""Rows of fewer numbers are multiplied by NumPy: for rows of one, torch's int8 product returns uninitialised memory."""
TRIAL_SHAPE = (37, 1029)
"""Rows that test an int8 product: no multiple of the tiles of any kernel (16 to 64), so that edges are tested too."""
TIMED_SHAPE = (512, 4096)
"""Rows that time the int8 product: 1e9 products of numbers, long enough to reach the speed of a large search."""


def float_product(first: NDArray[np.float32], second: NDArray[np.float32], device: str = "cpu") -> NDArray[np.float32]:
    """Return first @ second.T of (n, D) and (m, D): (n, m), within `rounding.float_error` for rows of length 1."""
    if device != "cpu":
        from benchmark.search.device_products import float_product as on_device

        return on_device(first, second, device)
    total = first[:, :PIECE_TERMS] @ second[:, :PIECE_TERMS].T
    for part in list(chunks(first.shape[1], PIECE_TERMS))[1:]:
        total += first[:, part] @ second[:, part].T
    return total


def level_product(first: NDArray[np.int8], second: NDArray[np.int8], device: str = "cpu") -> Array:
    """Return first @ second.T of (n, D) and (m, D) without rounding.

    The result is (n, m), int32, or int64 for more than 131,071 terms (`rounding.EXACT_TERMS_INT32`).
    """
    if device != "cpu":
        from benchmark.search.device_products import level_product as on_device

        return on_device(first, second, device)
    if first.shape[1] < FEW_NUMBERS:
        return first.astype(np.int32) @ second.astype(np.int32).T
    multiply = integer_engine()[1]
    if first.shape[1] <= EXACT_TERMS_INT32:
        return multiply(first, second)
    total = np.zeros((len(first), len(second)), dtype=np.int64)
    for part in chunks(first.shape[1], INT32_PIECE):
        total += multiply(np.ascontiguousarray(first[:, part]), np.ascontiguousarray(second[:, part]))
    return total


@cache
def integer_engine() -> tuple[str, Callable[[Array, Array], Array]]:
    """Return the name of the int8 product that is exact on this machine, and the product.

    Instructions of x86 processors without VNNI add pairs of 8-bit products in int16, which saturates (2 * 128 * 128 =
    2^15 does not fit). The test rows hold only the extremes -128 and 127, so that such a product cannot pass.
    """
    rng = np.random.default_rng(0)
    trial = [np.where(rng.random(TRIAL_SHAPE) < 0.5, -128, 127).astype(np.int8) for _ in range(2)]
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
    rows = np.ones(TIMED_SHAPE, dtype=np.int8)
    level_product(rows, rows)  # the first call loads libraries and starts threads
    started = time.perf_counter()
    level_product(rows, rows)
    return (time.perf_counter() - started) / (len(rows) * rows.size)


def _torch_product(first: Array, second: Array) -> Array:
    """Return first @ second.T of int8 rows (n, D) and (m, D), int32 (n, m)."""
    import torch

    product: Array = torch._int_mm(torch.from_numpy(first), torch.from_numpy(second).t()).numpy()
    return product


def _float_pieces(first: Array, second: Array) -> Array:
    """Return first @ second.T of int8 rows (n, D) and (m, D), int32 (n, m), by float32 products that do not round."""
    total = np.zeros((len(first), len(second)), dtype=np.int32)
    for part in chunks(first.shape[1], EXACT_TERMS_FLOAT32):
        total += (first[:, part].astype(np.float32) @ second[:, part].astype(np.float32).T).astype(np.int32)
    return total
