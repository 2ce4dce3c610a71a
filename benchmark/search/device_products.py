"""The products of `products` on a GPU, by torch; the tests run the same code on the device `cpu`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmark.core.types import chunks
from benchmark.search.rounding import EXACT_TERMS_INT32, INT32_PIECE, PIECE_TERMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array

LEAST_ROWS, MULTIPLE = 24, 8
"""torch._int_mm takes more than 16 rows on CUDA, and other sizes in multiples of 8: 24 rows are the fewest of both."""


def int_product(first: Tensor, second: Tensor) -> Tensor:
    """Return first @ second.T of int8 rows (n, D) and (m, D) on one device without rounding.

    The result is (n, m), int32, or int64 for more than 131,071 terms.
    """
    if first.shape[1] > EXACT_TERMS_INT32:
        parts = chunks(first.shape[1], INT32_PIECE)
        total = torch.zeros(len(first), len(second), dtype=torch.int64, device=first.device)
        for part in parts:  # one after the other, so that memory does not grow with the number of parts
            total += int_product(first[:, part], second[:, part])
        return total
    padded = torch._int_mm(_padded(first, LEAST_ROWS), _padded(second, MULTIPLE).t())
    return padded[: len(first), : len(second)]


def _padded(rows: Tensor, least: int) -> Tensor:
    """Add zeros to (n, D) until both sides are multiples of 8, and there are at least `least` rows."""
    height, width = (-(-size // MULTIPLE) * MULTIPLE for size in (max(least, len(rows)), rows.shape[1]))
    if (height, width) == tuple(rows.shape):
        return rows.contiguous()
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1], 0, height - len(rows)))


def level_product(first: NDArray[np.int8], second: NDArray[np.int8], device: str) -> Array:
    """Return the product of rows (n, D) and (m, D) in host memory, computed on a device: (n, m), int32 or int64."""
    product: Array = int_product(*(torch.from_numpy(rows).to(device) for rows in (first, second))).cpu().numpy()
    return product


def float_product(first: NDArray[np.float32], second: NDArray[np.float32], device: str) -> NDArray[np.float32]:
    """Return the product of rows (n, D) and (m, D) in host memory, (n, m), summed in pieces as on the CPU.

    `rounding.float_error` holds because torch multiplies float32 in full precision unless TF32 is switched on, which
    nothing here does.
    """
    left, right = (torch.from_numpy(rows).to(device) for rows in (first, second))
    total = torch.zeros(len(left), len(right), device=device)
    for part in chunks(left.shape[1], PIECE_TERMS):
        total.addmm_(left[:, part], right[:, part].T)
    product: NDArray[np.float32] = total.cpu().numpy()
    return product
