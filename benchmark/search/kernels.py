"""Loops over pairs and pixels that NumPy would need several passes for, compiled by Numba; no thread starts here."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

STRIPE = 128
"""Values that are compared at once: most stripes hold nothing near the best, and are skipped whole."""
DOUBT = 4e-15
"""More than the rounding of a correlation that is computed as a product of three float64 numbers."""

ROUNDING = 2.0**-23

_compiled: Any = numba.njit(cache=True, nogil=True, boundscheck=False)
_reordering: Any = numba.njit(cache=True, nogil=True, boundscheck=False, fastmath={"nsz", "reassoc", "contract"})
_finite: Any = numba.njit(cache=True, nogil=True, boundscheck=False, fastmath=True)


@_compiled
def push(values, places, value, place):
    """Insert into a list sorted by falling value, then rising place; a place that is there already keeps its best."""
    last = values.shape[0] - 1
    if value < values[last] or (value == values[last] and place > places[last] >= 0):
        return
    free = last
    for p in range(last + 1):
        if places[p] == place:
            if value <= values[p]:
                return
            free = p
            break
    p = free
    while p > 0 and (
        values[p - 1] < value or (values[p - 1] == value and (places[p - 1] > place or places[p - 1] < 0))
    ):
        values[p], places[p] = values[p - 1], places[p - 1]
        p -= 1
    values[p], places[p] = value, place


@_compiled
def offer(values, places, ties, value, place):
    """Push, and count in `ties` (1,) how many items are as near as the nearest, beside it."""
    if value > values[0]:
        ties[0] = 0
    elif value == values[0] and places[0] != place:
        ties[0] += 1
    push(values, places, value, place)


@_compiled
def nothing_like(values, places, offset, size):
    """Push the first items of a block for a query without variance: it is like nothing, and like everything equally."""
    for j in range(min(values.shape[0], size)):
        push(values, places, 0.0, offset + j)


@_reordering
def dot_levels(a, b):
    """Return the sum of products of two int8 rows of at most 131,071 values."""
    total = np.int32(0)
    for j in range(a.shape[0]):
        total += np.int32(a[j]) * np.int32(b[j])
    return np.int64(total)


@_reordering
def dot_stored(stored, b):
    """Return the sum of products of a uint8 and an int8 row of any length."""
    total = np.int64(0)
    for start in range(0, b.shape[0], 65536):
        left, right = stored[start : start + 65536], b[start : start + 65536]
        some = np.int32(0)
        for j in range(right.shape[0]):
            some += np.int32(left[j]) * np.int32(right[j])
        total += some
    return total


@_reordering
def level_sums(rows, total, squares):
    """Fill sums and sums of squares of int8 rows (n, D), int64."""
    for i in range(rows.shape[0]):
        for start in range(0, rows.shape[1], 65536):
            part = rows[i, start : start + 65536]
            some = np.int32(0)
            for j in range(part.shape[0]):
                some += np.int32(part[j])
            total[i] += some
            squares[i] += dot_levels(part, part)


@_compiled
def correlation(numerator, first, second):
    """Return n / sqrt(v w), which reads exactly 1 for a copy; 0 where a variance is 0."""
    if first == 0 or second == 0:
        return 0.0
    return min(1.0, max(-1.0, float(numerator) / math.sqrt(float(first) * float(second))))


@_compiled
def scan_levels(
    product, size, sums, variances, inverse, ours, our_variances, our_inverse, offset, values, places, ties
):
    """Push the correlations of a tile of sums of products (n, m) to the n running lists.

    `size`, `sums` and `ours` are float64 where all of `size * product` is exact in it, and int64 elsewhere.
    """
    depth = values.shape[1]
    buffer = np.empty(STRIPE)
    for q in range(product.shape[0]):
        if our_variances[q] == 0:
            nothing_like(values[q], places[q], offset, product.shape[1])
            continue
        least = values[q, depth - 1] - DOUBT
        for start in range(0, product.shape[1], STRIPE):
            stop = min(start + STRIPE, product.shape[1])
            hits = 0
            for j in range(start, stop):
                value = float(size * product[q, j] - ours[q] * sums[j]) * inverse[j] * our_inverse[q]
                buffer[j - start] = value
                hits += value >= least
            if hits:
                for j in range(start, stop):
                    if buffer[j - start] >= least:
                        value = correlation(size * product[q, j] - ours[q] * sums[j], variances[j], our_variances[q])
                        offer(values[q], places[q], ties[q : q + 1], value, offset + j)
                least = values[q, depth - 1] - DOUBT


@_compiled
def levels_block(product, size, sums, inverse, ours, our_inverse, block):
    """Fill the correlations of a tile, (n, m) float32; 0 where one side is constant."""
    for q in range(product.shape[0]):
        for j in range(product.shape[1]):
            block[q, j] = float(size * product[q, j] - ours[q] * sums[j]) * inverse[j] * our_inverse[q]


@_reordering
def dot_centred(first, first_mean, second, second_mean):
    """Return the sum of products of two float32 rows less their means, in float64.

    Norms are sums of the same order as products, so that a copy correlates with exactly 1.
    """
    total = 0.0
    for j in range(first.shape[0]):
        total += (float(first[j]) - first_mean) * (float(second[j]) - second_mean)
    return total


@_reordering
def _row_sum(row):
    total = 0.0
    for j in range(row.shape[0]):
        total += float(row[j])
    return total


@_compiled
def moments(rows, centred, means, squares):
    """Fill means (0 unless `centred`) and sums of squares about them, float64.

    The sum is 0 where a row varies no more than float32 rounds, and -1 where it is not finite.
    """
    for i in range(rows.shape[0]):
        mean = _row_sum(rows[i]) / rows.shape[1] if centred else 0.0
        square = dot_centred(rows[i], mean, rows[i], mean)
        if not square < np.inf:
            means[i], squares[i] = 0.0, -1.0
        elif square > rows.shape[1] * (abs(mean) * ROUNDING) ** 2:
            means[i], squares[i] = mean, square
        else:
            means[i], squares[i] = 0.0, 0.0


@_reordering
def standardise(rows, means, squares, out):
    """Fill rows less their means over their lengths, float32; zeros for a row without variance."""
    for i in range(rows.shape[0]):
        scale = 1 / math.sqrt(squares[i]) if squares[i] > 0 else 0.0
        for j in range(rows.shape[1]):
            out[i, j] = np.float32((float(rows[i, j]) - means[i]) * scale)


@_reordering
def _project(row, mean, scale, direction):
    total = 0.0
    for j in range(row.shape[0]):
        total += (float(row[j]) - mean) * scale * direction[j]
    return total


@_reordering
def _reach(row, mean, scale, along, direction):
    most = 0.0
    for j in range(row.shape[0]):
        most = max(most, abs((float(row[j]) - mean) * scale - along * direction[j]))
    return most


@_compiled
def encode(rows, means, squares, direction, digits, first, second, facts):
    """Write standardised rows as a direction's share, a scale, and int8 digits; `facts` (n, 5) are float64.

    A row z becomes along * direction + step * (first + second / 254) + rest. Facts: along, step, the length of the
    coded part, the length of the rest, and the length of the second digits' part. With one digit `second` is ignored.
    """
    for i in range(rows.shape[0]):
        if squares[i] == 0:
            facts[i] = 0.0
            first[i] = 0
            if digits == 2:
                second[i] = 0
            continue
        scale = 1 / math.sqrt(squares[i])
        along = _project(rows[i], means[i], scale, direction)
        step = _reach(rows[i], means[i], scale, along, direction) / 127
        step = step if step > 1e-30 else 1e-30
        if digits == 1:
            coded, rest, fine = _first_digits(rows[i], means[i], scale, along, direction, step, first[i])
        else:
            coded, rest, fine = _both_digits(rows[i], means[i], scale, along, direction, step, first[i], second[i])
        facts[i, 0], facts[i, 1], facts[i, 2] = along, step, math.sqrt(coded)
        facts[i, 3], facts[i, 4] = math.sqrt(rest), math.sqrt(fine)


@_reordering
def _first_digits(row, mean, scale, along, direction, step, first):
    coded, rest = 0.0, 0.0
    for j in range(row.shape[0]):
        value = (float(row[j]) - mean) * scale - along * direction[j]
        digit = np.rint(value / step)
        first[j] = np.int8(digit)
        coded += (step * digit) ** 2
        rest += (value - step * digit) ** 2
    return coded, rest, 0.0


@_reordering
def _both_digits(row, mean, scale, along, direction, step, first, second):
    coded, rest, fine = 0.0, 0.0, 0.0
    for j in range(row.shape[0]):
        value = (float(row[j]) - mean) * scale - along * direction[j]
        digit = np.rint(value / step)
        small = np.rint((value - step * digit) * (254 / step))
        first[j], second[j] = np.int8(digit), np.int8(small)
        code = step * (digit + small / 254)
        coded += code**2
        rest += (value - code) ** 2
        fine += (step * small / 254) ** 2
    return coded, rest, fine


@_finite
def greatest(row):
    """Return the greatest of some finite float32 values."""
    most = row[0]
    for j in range(1, row.shape[0]):
        most = max(most, row[j])
    return most


@_finite
def _decode(product, cross, our_along, our_step, along, step, a, u, c, w, coarse, bounds):
    """Fill coarse values of a row from products of digits, and upper bounds; without `cross` there is one digit."""
    if cross.shape[0] == 0:
        for j in range(product.shape[0]):
            value = our_along * along[j] + np.float32(product[j]) * (our_step * step[j])
            coarse[j] = value
            bounds[j] = value + a * u[j] + c * w[j]
    else:
        for j in range(product.shape[0]):
            digits = float(product[j]) + float(cross[j]) * (1.0 / 254)
            value = np.float32(float(our_along) * float(along[j]) + digits * our_step * step[j])
            coarse[j] = value
            bounds[j] = value + a * u[j] + c * w[j]


@_compiled
def _insert(lowest, value):
    p = lowest.shape[0] - 1
    while p > 0 and lowest[p - 1] < value:
        lowest[p] = lowest[p - 1]
        p -= 1
    lowest[p] = value


@_compiled
def _gather(coarse, bounds, slack, least, lowest, found, upper):
    """Gather the entries of a row that may be among its best; return how many, and what must be reached.

    `least` is what the best so far demand, `lowest` (depth,) is filled with the greatest lower bounds.
    """
    number, last = 0, lowest.shape[0] - 1
    lowest[:] = -np.inf
    for start in range(0, coarse.shape[0], STRIPE):
        stop = min(start + STRIPE, coarse.shape[0])
        if greatest(bounds[start:stop]) < least:
            continue
        for j in range(start, stop):
            if bounds[j] >= least:
                found[number], upper[number] = j, bounds[j]
                number += 1
                lower = 2 * coarse[j] - bounds[j]
                if lower > lowest[last]:
                    _insert(lowest, lower)
                    least = max(least, np.float32(lowest[last] - 2 * slack))
    return number, least


@_compiled
def _score(number, least, found, upper, rows, means, squares, ours, our_mean, our_square, offset, values, places, ties):
    for p in range(number):
        if upper[p] >= least:
            j = found[p]
            inner = dot_centred(rows[j], means[j], ours, our_mean)
            offer(values, places, ties, correlation(inner, squares[j], our_square), offset + j)


@_compiled
def _count(number, least, upper):
    kept = 0
    for p in range(number):
        kept += upper[p] >= least
    return kept


@_compiled
def scan_floats(
    product, slack, rows, means, squares, ours, our_means, our_squares, offset, values, places, ties, scored
):  # fmt: skip
    """Score in float64 every pair of a tile that may be among the best, and push it to the running lists.

    The truth lies within `slack` of product[q, j]. `scored` (n,) counts pairs.
    """
    depth, size = values.shape[1], product.shape[1]
    lowest, found, upper = np.empty(depth, np.float32), np.empty(size, np.int64), np.empty(size, np.float32)
    for q in range(product.shape[0]):
        if our_squares[q] == 0:
            nothing_like(values[q], places[q], offset, size)
            continue
        demanded = np.float32(values[q, depth - 1] - slack)
        number, least = _gather(product[q], product[q], slack, demanded, lowest, found, upper)
        scored[q] = _count(number, least, upper)
        _score(
            number, least, found, upper, rows, means, squares, ours[q], our_means[q], our_squares[q], offset,
            values[q], places[q], ties[q : q + 1],
        )  # fmt: skip


@_compiled
def scan_codes(
    product, cross, along, step, our_along, our_step, a, u, c, w, slack, rows, means, squares, ours, our_means,
    our_squares, offset, budget, values, places, ties, scored,
):  # fmt: skip
    """As `scan_floats`, of products of digits; `cross` has no columns where there is one digit.

    The truth lies within a[q] u[j] + c[q] w[j] + slack of what digits say. Where more than `budget` of a tile were to
    be scored, none is, and the entry of `scored` is -1.
    """
    depth, size = values.shape[1], product.shape[1]
    lowest, found, upper = np.empty(depth, np.float32), np.empty(size, np.int64), np.empty(size, np.float32)
    coarse, bounds = np.empty(size, np.float32), np.empty(size, np.float32)
    for q in range(product.shape[0]):
        if our_squares[q] == 0:
            nothing_like(values[q], places[q], offset, size)
            continue
        _decode(product[q], cross[q], our_along[q], our_step[q], along, step, a[q], u, c[q], w, coarse, bounds)
        demanded = np.float32(values[q, depth - 1] - slack)
        number, least = _gather(coarse, bounds, slack, demanded, lowest, found, upper)
        kept = _count(number, least, upper)
        if kept > budget:
            scored[q] = -1
            continue
        scored[q] = kept
        _score(
            number, least, found, upper, rows, means, squares, ours[q], our_means[q], our_squares[q], offset,
            values[q], places[q], ties[q : q + 1],
        )  # fmt: skip


@_compiled
def score_pairs(rows, means, squares, ours, our_mean, our_square, out):
    """Fill the correlations of one row with others, float64."""
    for j in range(rows.shape[0]):
        inner = dot_centred(rows[j], means[j], ours, our_mean)
        out[j] = correlation(inner, squares[j], our_square)


@_compiled
def merge_lists(values, places, ties, new_values, new_places, new_ties):
    """Merge lists of a later block into running ones, in place; all sorted by falling value, then rising place."""
    for q in range(values.shape[0]):
        if new_values[q, 0] > values[q, 0]:
            ties[q] = new_ties[q]
        elif new_values[q, 0] == values[q, 0] and new_places[q, 0] != places[q, 0]:
            ties[q] += new_ties[q] + 1
        for p in range(new_values.shape[1]):
            push(values[q], places[q], new_values[q, p], new_places[q, p])
