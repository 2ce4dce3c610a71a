"""Loops over pairs and pixels that NumPy would need several passes for, compiled by Numba; no thread starts here."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

STRIPE = 128
"""Values that are compared at once: most stripes hold nothing near the best, and are skipped whole."""
LANES = 64
DOUBT = 4e-15
"""More than the rounding of a correlation that is computed as a product of three float64 numbers."""

ROUNDING = 2.0**-24
PIECE = 4096
ENLARGED = 1 + PIECE * 2.0**-23
ROUNDED = 1e-6
"""More than the length of what is lost where numbers of a row of length 1 are rounded to float32, a few times."""

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
def push_zero_variance(values, places, offset, size):
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
def shift_levels(stored, rows, total, squares):
    """Fill int8 rows (n, D) with uint8 levels less 128, and the sums and sums of squares of these, int64."""
    for i in range(stored.shape[0]):
        for start in range(0, stored.shape[1], 4096):
            given, part = stored[i, start : start + 4096], rows[i, start : start + 4096]
            some, square = np.int32(0), np.int32(0)
            for j in range(given.shape[0]):
                value = np.int32(given[j]) - np.int32(128)
                part[j] = np.int8(value)
                some += value
                square += value * value
            total[i] += some
            squares[i] += square


@_compiled
def correlation(numerator, first, second):
    """Return n / sqrt(v w), which reads exactly 1 for a copy; 0 where a variance is 0."""
    if first == 0 or second == 0:
        return 0.0
    return min(1.0, max(-1.0, float(numerator) / math.sqrt(float(first) * float(second))))


@_finite
def reaching(row, least):
    """Count the values of a row that are `least` or more: a loop that compilers vectorise, unlike that of a maximum."""
    number = 0
    for j in range(row.shape[0]):
        number += row[j] >= least
    return number


@_compiled
def _correlate(product, size, sums, inverse, ours, our_inverse, out):
    for j in range(product.shape[0]):
        out[j] = float(size * product[j] - ours * sums[j]) * inverse[j] * our_inverse


@_compiled
def scan_levels(
    product, size, sums, variances, inverse, ours, our_variances, our_inverse, offset, values, places, ties
):
    """Push the correlations of a tile of sums of products (n, m) to the n running lists.

    `size`, `sums` and `ours` are float64 where all of `size * product` is exact in it, and int64 elsewhere.
    """
    depth, length = values.shape[1], product.shape[1]
    buffer = np.empty(length)
    for q in range(product.shape[0]):
        if our_variances[q] == 0:
            push_zero_variance(values[q], places[q], offset, length)
            continue
        _correlate(product[q], size, sums, inverse, ours[q], our_inverse[q], buffer)
        for start in range(0, length, STRIPE):
            stop = min(start + STRIPE, length)
            if reaching(buffer[start:stop], values[q, depth - 1] - DOUBT) == 0:
                continue
            for j in range(start, stop):
                if buffer[j] >= values[q, depth - 1] - DOUBT:
                    value = correlation(size * product[q, j] - ours[q] * sums[j], variances[j], our_variances[q])
                    offer(values[q], places[q], ties[q : q + 1], value, offset + j)


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


@_finite
def greatest_size(row):
    """Return the greatest absolute value of a float32 row, lane by lane."""
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


@_reordering
def _standard(row, mean, scale, out):
    for j in range(row.shape[0]):
        out[j] = np.float32((float(row[j]) - mean) * scale)


@_reordering
def _share(row, direction):
    total = 0.0
    for j in range(row.shape[0]):
        total += float(row[j]) * float(direction[j])
    return total


@_finite
def _less(row, along, direction):
    """Subtract a direction's share from a row, in place."""
    for j in range(row.shape[0]):
        row[j] -= along * direction[j]


@_finite
def _digits(row, step, digits):
    """Write a row in steps, rounded."""
    inverse, half = np.float32(1) / step, np.float32(0.5)
    for j in range(row.shape[0]):
        digits[j] = np.int8(np.floor(row[j] * inverse + half))


@_finite
def _subtract(row, step, digits):
    """Subtract what digits stand for, in place; return the sum of squares of that, and of what is left."""
    coded, left = np.float32(0), np.float32(0)
    for j in range(row.shape[0]):
        value = np.float32(digits[j]) * step
        row[j] -= value
        coded += value * value
        left += row[j] * row[j]
    return coded, left


@_compiled
def _written(row, step, digits):
    """Write a row in digits and leave what they miss in it; return the squared lengths of both, summed in pieces."""
    _digits(row, step, digits)
    coded, left = 0.0, 0.0
    for start in range(0, row.shape[0], PIECE):
        some, rest = _subtract(row[start : start + PIECE], step, digits[start : start + PIECE])
        coded += some
        left += rest
    return coded, left


@_compiled
def encode(rows, means, squares, direction, digits, first, second, facts):
    """Write standardised rows as a direction's share, a scale, and int8 digits; `facts` (n, 5) are float64.

    A row z becomes along * direction + step * (first + second / 254) + rest. Facts: along, step, and bounds of the
    lengths of the coded part, of the rest, and of the second digits' part. With one digit `second` is ignored.
    Lengths are enlarged by more than float32 loses in sums of PIECE terms, the rest by what rounding takes from rows.
    """
    row = np.empty(rows.shape[1], np.float32)
    for i in range(rows.shape[0]):
        facts[i] = 0.0
        if squares[i] == 0:
            first[i] = 0
            if digits == 2:
                second[i] = 0
            continue
        _standard(rows[i], means[i], 1 / math.sqrt(squares[i]), row)
        along = np.float32(_share(row, direction))
        _less(row, along, direction)
        step = max(greatest_size(row), np.float32(1e-30)) / np.float32(127)
        coded, left = _written(row, step, first[i])
        fine = 0.0
        if digits == 2:
            fine, left = _written(row, np.float32(step / 254), second[i])
        facts[i, 0], facts[i, 1], facts[i, 4] = along, step, ENLARGED * math.sqrt(fine)
        facts[i, 2] = ENLARGED * math.sqrt(coded) + facts[i, 4]
        facts[i, 3] = ENLARGED * math.sqrt(left) + ROUNDED


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
        if reaching(bounds[start:stop], least) == 0:
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
            push_zero_variance(values[q], places[q], offset, size)
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
            push_zero_variance(values[q], places[q], offset, size)
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
        elif new_values[q, 0] == values[q, 0]:
            ties[q] = max(ties[q], new_ties[q]) if new_places[q, 0] == places[q, 0] else ties[q] + new_ties[q] + 1
        for p in range(new_values.shape[1]):
            push(values[q], places[q], new_values[q, p], new_places[q, p])
