"""Compiled loops on float32 rows: their means and lengths, exact scores, and the pairs that a coarse product leaves."""

from __future__ import annotations

import math

import numpy as np

from benchmark.search.compiled import compiled, reordering
from benchmark.search.kernels_lists import TILE, correlation, count_reaching, offer, push_zero_variance
from benchmark.search.rounding import UNIT_ROUNDOFF


@reordering
def dot_centred(first, first_mean, second, second_mean):
    """Return the sum of products of two float32 rows (D,) less their means, in float64.

    Sums of squares are this product of a row with itself, added in the same order, so that a copy correlates with
    exactly 1. Subtracting the mean first, instead of n Sxy - Sx Sy, keeps rows of a large offset accurate.
    """
    total = 0.0
    for j in range(first.shape[0]):
        total += (float(first[j]) - first_mean) * (float(second[j]) - second_mean)
    return total


@reordering
def _row_sum(row):
    """Return the sum of a float32 row (D,) in float64."""
    total = 0.0
    for j in range(row.shape[0]):
        total += float(row[j])
    return total


@compiled
def moments(rows, centred, means, squares):
    """Fill means (n,), 0 unless `centred`, and sums of squares about them (n,), float64, of float32 rows (n, D).

    The sum is -1 where a row is not finite. It is 0 where a row varies no more than a constant that was computed in
    float32: each pixel is then within u |mean| of the mean, so that the sum is at most D (u |mean|)^2. The correlation
    of such a row would be that of its rounding errors.
    """
    for i in range(rows.shape[0]):
        # Two passes over a row: Sxx - Sx^2 / n would lose all digits of rows whose mean is large.
        mean = _row_sum(rows[i]) / rows.shape[1] if centred else 0.0
        square = dot_centred(rows[i], mean, rows[i], mean)
        if not square < np.inf:  # NaN fails every comparison
            means[i], squares[i] = 0.0, -1.0
        elif square > rows.shape[1] * (abs(mean) * UNIT_ROUNDOFF) ** 2:
            means[i], squares[i] = mean, square
        else:
            means[i], squares[i] = 0.0, 0.0


@reordering
def standardise(rows, means, squares, out):
    """Fill `out` (n, D) float32 with rows (n, D) less their means over their lengths; zeros for zero variance."""
    for i in range(rows.shape[0]):
        scale = 1 / math.sqrt(squares[i]) if squares[i] > 0 else 0.0
        # Float64 until the last step: the result is rounded once, by u of each number.
        for j in range(rows.shape[1]):
            out[i, j] = np.float32((float(rows[i, j]) - means[i]) * scale)


@compiled
def score_pairs(rows, means, squares, query, query_mean, query_square, out):
    """Fill `out` (n,) float64 with the correlations of a query (D,) with rows (n, D); `moments` gives the numbers."""
    for j in range(rows.shape[0]):
        inner = dot_centred(rows[j], means[j], query, query_mean)
        out[j] = correlation(inner, squares[j], query_square)


@compiled
def _insert(lowest, value):
    """Insert a value into `lowest` (k,), sorted falling; the last one drops out."""
    p = lowest.shape[0] - 1
    while p > 0 and lowest[p - 1] < value:
        lowest[p] = lowest[p - 1]
        p -= 1
    lowest[p] = value


@compiled
def gather_candidates(coarse, bounds, slack, least, lowest, candidates, upper):
    """Gather the entries of a row that may be among its k best; return how many, and the bound they must reach.

    The exact value of entry j lies between 2 coarse[j] - bounds[j] - slack and bounds[j] + slack. Where k entries have
    lower limits L - slack or more, an entry that is among the k best has an exact value of at least L - slack, and so
    a bound of at least L - 2 slack.

    Args:
        coarse: (m,) float32.
        bounds: (m,) float32, coarse values and their windows.
        slack: what windows do not hold.
        least: bounds below cannot enter the list: its k-th value less slack.
        lowest: (k,) float32, is filled with the greatest 2 coarse - bounds.
        candidates: (m,) int64, is filled with the entries' numbers.
        upper: (m,) float32, is filled with their bounds.
    """
    number, last = 0, lowest.shape[0] - 1
    lowest[:] = -np.inf
    for start in range(0, coarse.shape[0], TILE):
        stop = min(start + TILE, coarse.shape[0])
        if count_reaching(bounds[start:stop], least) == 0:
            continue
        for j in range(start, stop):
            if bounds[j] >= least:
                candidates[number], upper[number] = j, bounds[j]
                number += 1
                lower = 2 * coarse[j] - bounds[j]  # windows are as wide below the coarse value as above
                if lower > lowest[last]:
                    # The k-th greatest lower limit rises, and with it what later entries must reach.
                    _insert(lowest, lower)
                    least = max(least, np.float32(lowest[last] - 2 * slack))
    return number, least


@compiled
def count_candidates(number, least, upper):
    """Count which of the first `number` of `upper` (m,) reach `least`, which has risen since they were gathered."""
    kept = 0
    for p in range(number):
        kept += upper[p] >= least
    return kept


@compiled
def score_candidates(
    number, least, candidates, upper, rows, means, squares, query, query_mean, query_square, offset, values, places,
    ties,
):  # fmt: skip
    """Score the candidates of one query that reach `least` in float64, and offer them to its list.

    `candidates` and `upper` (m,) as `gather_candidates` fills them; `rows` (m, D), `means` and `squares` (m,) of the
    bank; `query` (D,) with its mean and sum of squares; `values` and `places` (k,), `ties` (1,).
    """
    for p in range(number):
        if upper[p] >= least:
            j = candidates[p]
            inner = dot_centred(rows[j], means[j], query, query_mean)
            offer(values, places, ties, correlation(inner, squares[j], query_square), offset + j)


@compiled
def scan_floats(
    product, slack, rows, means, squares, queries, query_means, query_squares, offset, values, places, ties, scored
):  # fmt: skip
    """Score in float64 every pair of a tile that may be among the best, and push it to the running lists.

    Args:
        product: (n, m) float32; the exact value lies within `slack` of product[q, j].
        slack: a bound of the product's error.
        rows: (m, D) float32, of the bank; `means` and `squares` (m,) as `moments` fills them.
        means: see `rows`.
        squares: see `rows`.
        queries: (n, D) float32, with `query_means` and `query_squares` (n,).
        query_means: see `queries`.
        query_squares: see `queries`.
        offset: the place of the tile's first item in the bank.
        values: (n, k) lists, as `places` (n, k) and `ties` (n,).
        places: see `values`.
        ties: see `values`.
        scored: (n,) int64, is filled with the number of pairs scored.
    """
    depth, size = values.shape[1], product.shape[1]
    lowest, candidates, upper = np.empty(depth, np.float32), np.empty(size, np.int64), np.empty(size, np.float32)
    for q in range(product.shape[0]):
        if query_squares[q] == 0:
            push_zero_variance(values[q], places[q], offset, size)
            continue
        # Rounding this to float32 may raise it by u / 2, which `slack` has room for.
        demanded = np.float32(values[q, depth - 1] - slack)
        # Coarse values are their own bounds here: the whole window is in `slack`.
        number, least = gather_candidates(product[q], product[q], slack, demanded, lowest, candidates, upper)
        scored[q] = count_candidates(number, least, upper)
        score_candidates(
            number, least, candidates, upper, rows, means, squares, queries[q], query_means[q], query_squares[q],
            offset, values[q], places[q], ties[q : q + 1],
        )  # fmt: skip
