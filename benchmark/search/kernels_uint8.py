"""Compiled loops on 8-bit rows: sums of products are integers, so that correlations are exact but for one division."""

from __future__ import annotations

import numpy as np

from benchmark.search.compiled import compiled, reordering
from benchmark.search.kernels_lists import TILE, correlation, count_reaching, offer, push_zero_variance
from benchmark.search.rounding import CORRELATION_ERROR

STORED_PIECE = 65_536
"""Products of a level (0 to 255) and an int8 are at most 255 * 128 in size: 65,536 * 32,640 < 2^31 fit in int32."""
SQUARES_PIECE = 4096
"""Squares are at most 2^14: int32 would hold 131,071 of them; this many pixels stay in the first-level cache."""


@reordering
def dot_levels(a, b):
    """Return the sum of products of two int8 rows (n,), n <= 131,071 (`rounding.EXACT_TERMS_INT32`), as int64."""
    total = np.int32(0)
    for j in range(a.shape[0]):
        total += np.int32(a[j]) * np.int32(b[j])
    return np.int64(total)


@reordering
def dot_stored(stored, b):
    """Return the sum of products of a uint8 row and an int8 row of any length (n,), as int64."""
    total = np.int64(0)
    for start in range(0, b.shape[0], STORED_PIECE):
        left, right = stored[start : start + STORED_PIECE], b[start : start + STORED_PIECE]
        some = np.int32(0)
        for j in range(right.shape[0]):
            some += np.int32(left[j]) * np.int32(right[j])
        total += some  # int32 within a piece, where twice as many sums fit into a vector, int64 between pieces
    return total


@reordering
def shift_levels(stored, rows, total, squares):
    """Fill int8 rows (n, D) with uint8 levels (n, D) less 128; `total`, `squares` (n,) int64 with their sums."""
    for i in range(stored.shape[0]):
        for start in range(0, stored.shape[1], SQUARES_PIECE):
            given, part = stored[i, start : start + SQUARES_PIECE], rows[i, start : start + SQUARES_PIECE]
            some, square = np.int32(0), np.int32(0)
            for j in range(given.shape[0]):
                value = np.int32(given[j]) - np.int32(128)
                part[j] = np.int8(value)
                some += value
                square += value * value
            total[i] += some
            squares[i] += square


@compiled
def _correlate(product, size, sums, inverse, query_sum, query_inverse, out):
    """Fill `out` (m,) with correlations of one query, within `CORRELATION_ERROR`: no root and no division per pair."""
    for j in range(product.shape[0]):
        out[j] = float(size * product[j] - query_sum * sums[j]) * inverse[j] * query_inverse


@compiled
def scan_levels(
    product, size, sums, variances, inverse, query_sums, query_variances, query_inverse, offset, values, places, ties
):
    """Push the correlations of a tile to the running lists.

    A pair is computed twice: roughly, within `CORRELATION_ERROR`, to see whether it may enter the list, and then with
    the root and the division that rank it.

    Args:
        product: (n, m) sums of products, int32 or int64.
        size: D, the pixels of a row.
        sums: (m,) of the bank's rows; `size`, `sums` and `query_sums` are float64 where all of size * product is exact
            in it (`rounding.MAX_PIXELS_FLOAT64`), and int64 elsewhere.
        variances: (m,) n Sxx - Sx^2 of the bank's rows.
        inverse: (m,) 1 over their roots, 0 for constant rows.
        query_sums: (n,) as `sums`.
        query_variances: (n,) as `variances`.
        query_inverse: (n,) as `inverse`.
        offset: the place of the tile's first item in the bank.
        values: (n, k) lists, as `places` (n, k) and `ties` (n,).
        places: see `values`.
        ties: see `values`.
    """
    depth, length = values.shape[1], product.shape[1]
    buffer = np.empty(length)  # one query's values at a time: 16 KiB for 2,048 items, within the first-level cache
    for q in range(product.shape[0]):
        if query_variances[q] == 0:
            push_zero_variance(values[q], places[q], offset, length)
            continue
        _correlate(product[q], size, sums, inverse, query_sums[q], query_inverse[q], buffer)
        for start in range(0, length, TILE):
            stop = min(start + TILE, length)
            if count_reaching(buffer[start:stop], values[q, depth - 1] - CORRELATION_ERROR) == 0:
                continue
            for j in range(start, stop):
                # The k-th best has risen since the tile was counted: most of a tile fails here.
                if buffer[j] >= values[q, depth - 1] - CORRELATION_ERROR:
                    numerator = size * product[q, j] - query_sums[q] * sums[j]
                    value = correlation(numerator, variances[j], query_variances[q])
                    offer(values[q], places[q], ties[q : q + 1], value, offset + j)


@compiled
def levels_block(product, size, sums, inverse, query_sums, query_inverse, block):
    """Fill the correlations of a tile, `block` (n, m) float32; 0 where one side is constant.

    `product` (n, m), `sums` and `inverse` (m,), `query_sums` and `query_inverse` (n,), as in `scan_levels`.
    """
    for q in range(product.shape[0]):
        for j in range(product.shape[1]):
            block[q, j] = float(size * product[q, j] - query_sums[q] * sums[j]) * inverse[j] * query_inverse[q]
