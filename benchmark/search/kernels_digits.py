"""Compiled loops that write float32 rows in int8 digits, and that search by products of these.

A row z of mean 0 and length 1 becomes

    z = along * m + step * (first + second / 254) + residual        m a fixed direction of length 1

Digits are -127 to 127, and step is the greatest entry over 127. Rounding leaves at most half a step of each entry,
which 127 second digits of step / 254 divide again: 127 / 254 = 1 / 2.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.search.compiled import compiled, finite, reordering
from benchmark.search.kernels_float32 import count_candidates, gather_candidates, score_candidates
from benchmark.search.kernels_lists import push_zero_variance
from benchmark.search.rounding import ENLARGED, ROUNDED, SUM_TERMS

ALONG, STEP, CODED, MISSED, FINE = 0, 1, 2, 3, 4
"""Columns of `encode`'s facts: share of the direction, length of a step, and bounds of three lengths."""
LANES = 64
"""Running maxima that are kept at once: 4 vectors of 16 float32, so that each does not wait for the one before."""
SMALLEST = 1e-30
"""The least greatest entry: a row that is the direction itself leaves zeros, and 0 / 0 must not arise."""


@finite
def greatest_size(row):
    """Return the greatest absolute value of a float32 row (D,), by `LANES` running maxima."""
    # One running maximum would wait for itself at each number; independent ones fill whole vectors.
    lanes = np.zeros(LANES, np.float32)
    whole = row.shape[0] // LANES * LANES
    for start in range(0, whole, LANES):
        for j in range(LANES):
            size = abs(row[start + j])
            lanes[j] = size if size > lanes[j] else lanes[j]
    most = np.float32(0)
    for j in range(LANES):
        most = max(most, lanes[j])
    for j in range(whole, row.shape[0]):
        most = max(most, abs(row[j]))
    return most


@reordering
def _standardise_row(row, mean, scale, out):
    """Fill `out` (D,) float32 with a row (D,) less its mean, times its scale."""
    for j in range(row.shape[0]):
        out[j] = np.float32((float(row[j]) - mean) * scale)


@reordering
def _dot_direction(row, direction):
    """Return the product of a float32 row (D,) and a float64 direction (D,), in float64."""
    total = 0.0
    for j in range(row.shape[0]):
        total += float(row[j]) * float(direction[j])
    return total


@finite
def _subtract_direction(row, along, direction):
    """Subtract along * direction (D,) from a row (D,), in place."""
    for j in range(row.shape[0]):
        row[j] -= along * direction[j]


@finite
def _round_to_digits(row, step, digits):
    """Fill int8 `digits` (D,) with a row (D,) in steps, rounded.

    The greatest entry is 127 steps up to three roundings, 127 * (1 + 3 u) + 1/2 < 128: no digit overflows.
    """
    inverse, half = np.float32(1) / step, np.float32(0.5)
    for j in range(row.shape[0]):
        digits[j] = np.int8(np.floor(row[j] * inverse + half))


@finite
def _subtract_digits(row, step, digits):
    """Subtract step * digits (D,) from a row (D,) in place; return the sums of squares of both, float32."""
    coded, left = np.float32(0), np.float32(0)
    for j in range(row.shape[0]):
        value = np.float32(digits[j]) * step
        row[j] -= value
        coded += value * value
        left += row[j] * row[j]
    return coded, left


@compiled
def _encode_digits(row, step, digits):
    """Write a row (D,) in int8 digits (D,) and leave the residual in it; return the squared lengths of both.

    They are summed in float32 over `SUM_TERMS` numbers, which is fast, and in float64 beyond: `ENLARGED` makes them
    bounds for rows of any length.
    """
    _round_to_digits(row, step, digits)
    coded, left = 0.0, 0.0
    for start in range(0, row.shape[0], SUM_TERMS):
        stop = start + SUM_TERMS
        some, residual = _subtract_digits(row[start:stop], step, digits[start:stop])
        coded += some
        left += residual
    return coded, left


@compiled
def encode(rows, means, squares, direction, digits, first, second, facts):
    """Write standardised rows as a direction's share, a step, and int8 digits.

    Args:
        rows: (n, D) float32; `means` and `squares` (n,) as `kernels_float32.moments` fills them.
        means: see `rows`.
        squares: see `rows`.
        direction: (D,) float64, of length 1.
        digits: 1 or 2.
        first: (n, D) int8, is filled with first digits.
        second: (n, D) int8, is filled with second digits; with one digit it is ignored.
        facts: (n, 5) float64, is filled: share of the direction, step, and upper bounds of the lengths of the coded
            part (by all digits), of the residual, and of the second digits' part.
    """
    row = np.empty(rows.shape[1], np.float32)
    for i in range(rows.shape[0]):
        facts[i] = 0.0
        if squares[i] == 0:  # zero variance: no digits, no lengths, a product of 0 with every row
            first[i] = 0
            if digits == 2:
                second[i] = 0
            continue
        _standardise_row(rows[i], means[i], 1 / math.sqrt(squares[i]), row)
        # Rounded before it is subtracted: the row is along * direction and the rest, whatever rounding did to `along`.
        along = np.float32(_dot_direction(row, direction))
        _subtract_direction(row, along, direction)
        step = max(greatest_size(row), np.float32(SMALLEST)) / np.float32(127)
        coded, left = _encode_digits(row, step, first[i])
        fine = 0.0
        if digits == 2:
            # The residual of the first digits is in `row`: it is written again, in steps 254 times as small.
            fine, left = _encode_digits(row, np.float32(step / 254), second[i])
        facts[i, ALONG], facts[i, STEP], facts[i, FINE] = along, step, ENLARGED * math.sqrt(fine)
        facts[i, CODED] = ENLARGED * math.sqrt(coded) + facts[i, FINE]  # |a + b| <= |a| + |b|
        facts[i, MISSED] = ENLARGED * math.sqrt(left) + ROUNDED


@finite
def _decode(product, cross, query_along, query_step, along, step, a, u, c, w, coarse, bounds):
    """Fill coarse values (m,) of a query and their upper bounds (m,) from products of digits.

    `product` (m,) is of first digits, `cross` (m,) of first with second ones, both ways; it is empty where there is
    one digit. Products of first digits pass 2^24, which float32 rounds; with second digits, whose windows are a
    hundred times narrower, the sum is float64.
    """
    if cross.shape[0] == 0:
        for j in range(product.shape[0]):
            # The product of the parts along m and that of digits; float32 rounds five times (`float32.SLACK`).
            value = query_along * along[j] + np.float32(product[j]) * (query_step * step[j])
            coarse[j] = value
            bounds[j] = value + a * u[j] + c * w[j]
    else:
        for j in range(product.shape[0]):
            digits = float(product[j]) + float(cross[j]) * (1.0 / 254)
            value = np.float32(float(query_along) * float(along[j]) + digits * query_step * step[j])
            coarse[j] = value
            bounds[j] = value + a * u[j] + c * w[j]


@compiled
def scan_codes(
    product, cross, along, step, query_along, query_step, a, u, c, w, slack, rows, means, squares, queries,
    query_means, query_squares, offset, budget, values, places, ties, scored,
):  # fmt: skip
    """As `kernels_float32.scan_floats`, of products of digits.

    The exact value lies within a[q] u[j] + c[q] w[j] + slack of what digits say (`float32._Window`). Where more than
    `budget` pairs of a query were to be scored, none is, and its entry of `scored` is -1: second digits, or the whole
    tile, are cheaper then.

    Args:
        product: (n, m) sums of products of first digits.
        cross: (n, m) of first with second digits, or (n, 0).
        along: (m,) float32 shares of the direction; `query_along` (n,).
        step: (m,) float32 steps; `query_step` (n,).
        query_along: see `along`.
        query_step: see `step`.
        a: (n,) float32, as `c`.
        u: (m,) float32, as `w`.
        c: see `a`.
        w: see `u`.
        slack: what rounding adds to windows.
        rows: (m, D) float32; this and the rest as in `scan_floats`.
        means: (m,).
        squares: (m,).
        queries: (n, D) float32.
        query_means: (n,).
        query_squares: (n,).
        offset: the place of the tile's first item in the bank.
        budget: the most pairs of a query to score.
        values: (n, k).
        places: (n, k).
        ties: (n,).
        scored: (n,) int64.
    """
    depth, size = values.shape[1], product.shape[1]
    lowest, candidates, upper = np.empty(depth, np.float32), np.empty(size, np.int64), np.empty(size, np.float32)
    coarse, bounds = np.empty(size, np.float32), np.empty(size, np.float32)
    for q in range(product.shape[0]):
        if query_squares[q] == 0:
            push_zero_variance(values[q], places[q], offset, size)
            continue
        _decode(product[q], cross[q], query_along[q], query_step[q], along, step, a[q], u, c[q], w, coarse, bounds)
        demanded = np.float32(values[q, depth - 1] - slack)
        number, least = gather_candidates(coarse, bounds, slack, demanded, lowest, candidates, upper)
        # Counted before any is scored: a query that is abandoned must leave its list as it was.
        kept = count_candidates(number, least, upper)
        if kept > budget:
            scored[q] = -1
            continue
        scored[q] = kept
        score_candidates(
            number, least, candidates, upper, rows, means, squares, queries[q], query_means[q], query_squares[q],
            offset, values[q], places[q], ties[q : q + 1],
        )  # fmt: skip
