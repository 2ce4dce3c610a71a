"""Compiled loops of the index: box sums of pixels, codes of residuals, and best-first verification."""

from __future__ import annotations

import math

import numpy as np

from benchmark.search.compiled import compiled, finite, reordering
from benchmark.search.kernels_digits import SMALLEST, greatest_size
from benchmark.search.kernels_lists import TILE, correlation, count_reaching, offer, push, push_zero_variance
from benchmark.search.kernels_uint8 import dot_levels, dot_stored
from benchmark.search.rounding import ENLARGED, ROUNDED

REACHED, NARROWED, VERIFIED, ABANDONED = 0, 1, 2, 3
"""Columns of the counts."""
LENGTH, STEP, CODED, MISSED = 0, 1, 2, 3
"""Columns of a code's facts: bounds of the row's length, of its code's and of the residual's, and the code's step."""
CODE_FACTS = 4


@reordering
def box_sums(rows, height, width, tops, lefts, out):
    """Fill sums of int8 pixels over the boxes of each plane.

    int32 holds them: a box has at most 2^24 pixels (`rounding.MAX_PIXELS`) of -128 to 127, a sum of at least -2^31.

    Args:
        rows: (n, planes * height * width) int8.
        height: rows of pixels of a plane.
        width: columns of pixels of a plane.
        tops: (a + 1,) first rows of boxes, and the end.
        lefts: (b + 1,) first columns of boxes, and the end.
        out: (n, planes, a, b) int32, is filled.
    """
    line = np.empty(width, np.int32)
    for i in range(rows.shape[0]):
        for plane in range(out.shape[1]):
            start = plane * height * width
            for a in range(tops.shape[0] - 1):
                # Columns first, over contiguous rows of pixels, which vectorises; then boxes of the column sums.
                line[:] = 0
                for r in range(tops[a], tops[a + 1]):
                    row = rows[i, start + r * width : start + (r + 1) * width]
                    for c in range(width):
                        line[c] += np.int32(row[c])
                for b in range(lefts.shape[0] - 1):
                    total = np.int32(0)
                    for c in range(lefts[b], lefts[b + 1]):
                        total += line[c]
                    out[i, plane, a, b] = total


@reordering
def pyramid(sums, means, scales, areas, parents, shares, boxes, low, outside):
    """Fill coefficients of small and of large boxes, of n images of mean 0 and length 1.

    The coefficient of a box is the product with the unit row that is constant in it: its sum over the root of its
    pixels. That unit row of a large box is the sum of its small boxes' ones, each times the root of its share of the
    pixels, so that large coefficients follow from small ones.

    `outside` is taken from the energy of all boxes before these are rounded to float32: energies of 1 - 1e-7 would
    seem to be 1. Float64 errs here by less than `ROUNDED`, which is added to it: summing 4,096 squares loses up to
    4.5e-13, whose root is 6.7e-7, where an image is all but constant in its boxes; where it is not, whole grey levels
    leave at least 1 / |x - mean| outside, and the root loses the less.

    Args:
        sums: (n, small) int32 sums of pixels.
        means: (n,) of pixels.
        scales: (n,) 1 over the lengths of images less their means; 0 for constant ones.
        areas: (small,) roots of the numbers of pixels.
        parents: (small,) numbers of the large boxes that they belong to.
        shares: (small,) float32 roots of their shares of these boxes.
        boxes: (n, small) float32, is filled with small coefficients.
        low: (n, large) float32, is filled with large ones.
        outside: (n,) float64, is filled with the length of what small boxes leave.
    """
    large, inverse = np.empty(low.shape[1]), 1 / areas
    for i in range(sums.shape[0]):
        large[:] = 0
        energy = 0.0
        for b in range(sums.shape[1]):
            # sum / root of area, less the mean's own sum, mean * area / root of area.
            value = (float(sums[i, b]) * inverse[b] - means[i] * areas[b]) * scales[i]
            boxes[i, b] = np.float32(value)
            large[parents[b]] += value * shares[b]
            energy += value * value
        outside[i] = math.sqrt(max(0.0, 1 - energy))
        for b in range(large.shape[0]):
            low[i, b] = np.float32(large[b])


@finite
def _code(row, codes, facts):
    """Write a float32 row (b,) as step * codes (b,) int8; `facts` (4,) with the row's length, step and two lengths.

    Lengths are upper bounds: `ENLARGED` for their sums of up to 16,000 squares in float32, `ROUNDED` for the row's own
    rounding. `Grid` makes 4,096 boxes at most, or one per channel.
    """
    # The largest entry becomes 127; all others are rounded to the nearest step.
    most = max(greatest_size(row), np.float32(SMALLEST))
    step = np.float32(most / 127)
    inverse = np.float32(127 / most)
    for j in range(row.shape[0]):
        codes[j] = np.int8(np.floor(row[j] * inverse + np.float32(0.5)))
    # The residual is what the decoded code misses, float32 product included, and so holds the errors of rounding, too.
    whole, coded, missed = np.float32(0), np.float32(0), np.float32(0)
    for j in range(row.shape[0]):
        code = np.float32(codes[j]) * step
        whole += row[j] * row[j]
        coded += code * code
        missed += (code - row[j]) * (code - row[j])
    facts[LENGTH], facts[CODED] = ENLARGED * math.sqrt(whole), ENLARGED * math.sqrt(coded)
    facts[STEP], facts[MISSED] = step, ENLARGED * math.sqrt(missed) + ROUNDED


@compiled
def encode_residuals(boxes, low, inside, parents, shares, coarse, fine, facts):
    """Code what the directions leave of large boxes, and what large boxes leave of small ones.

    Args:
        boxes: (n, small) float32 coefficients (`pyramid`).
        low: (n, large) float32.
        inside: (n, large) float64, the part of `low` that lies in the directions.
        parents: (small,) as in `pyramid`.
        shares: (small,) as in `pyramid`.
        coarse: (n, large) int8, is filled.
        fine: (n, small) int8, is filled.
        facts: (n, 8) float64, is filled with four numbers of each code (`_code`).
    """
    residual, detail = np.empty(low.shape[1], np.float32), np.empty(boxes.shape[1], np.float32)
    for i in range(boxes.shape[0]):
        for b in range(low.shape[1]):
            residual[b] = np.float32(low[i, b] - inside[i, b])
        # Subtracted in float64 and rounded once, which is part of ROUNDED.
        _code(residual, coarse[i], facts[i, 0:CODE_FACTS])
        # A large box's unit row is, within a small box, that of the small one times the root of its share.
        for b in range(boxes.shape[1]):
            detail[b] = boxes[i, b] - shares[b] * low[i, parents[b]]
        _code(detail, fine[i], facts[i, CODE_FACTS : 2 * CODE_FACTS])


@compiled
def _greatest_bounds(row, values, places):
    """Fill `values` and `places` (k,) with the greatest of the bounds (M,): these items are looked at first."""
    values[:] = -np.inf
    places[:] = -1
    last = values.shape[0] - 1
    for start in range(0, row.shape[0], TILE):
        stop = min(start + TILE, row.shape[0])
        if count_reaching(row[start:stop], values[last]):
            for j in range(start, stop):
                if row[j] > values[last]:
                    push(values, places, row[j], j)


@compiled
def _collect(row, least, places, bounds):
    """Fill `places` and `bounds` (b,) with the bounds of a row (M,) that reach `least`; return how many there are.

    Where more reach it than fit, the number returned is b + 1.
    """
    number = 0
    for start in range(0, row.shape[0], TILE):
        stop = min(start + TILE, row.shape[0])
        if count_reaching(row[start:stop], least) == 0:
            continue
        for j in range(start, stop):
            if row[j] >= least:
                if number == places.shape[0]:
                    return number + 1
                places[number], bounds[number] = j, row[j]
                number += 1
    return number


@compiled
def _narrowed_bound(bound, codes, facts, query_codes, query_facts):
    """Return the bound with the product of two residuals' codes in place of the product of their lengths.

    For residuals r = code + missed, Cauchy-Schwarz gives

        <r, r'> <= <code, code'> + |code| |missed'| + |missed| (|code'| + |missed'|)

    Where that is no less than |r| |r'|, which the bound holds, the bound stays. Codes and facts are (b,) and (4,) of an
    item and of the query.
    """
    closer = facts[STEP] * query_facts[STEP] * float(dot_levels(codes, query_codes))
    closer += facts[CODED] * query_facts[MISSED] + facts[MISSED] * (query_facts[CODED] + query_facts[MISSED])
    # Both are upper bounds, so that the lower one may be taken.
    return np.float32(bound + min(0.0, closer - facts[LENGTH] * query_facts[LENGTH]))


@compiled
def _narrow(places, bounds, number, least, codes, facts, query_codes, query_facts):
    """Keep those of the first `number` places and bounds (b,) whose narrowed bound reaches `least`; return how many."""
    left = 0
    for p in range(number):
        j = places[p]
        narrowed = _narrowed_bound(bounds[p], codes[j], facts[j], query_codes, query_facts)
        if narrowed >= least:
            places[left], bounds[left] = j, narrowed
            left += 1
    return left


@compiled
def _candidates(
    bounds, least, coarse, fine, facts, query_coarse, query_fine, query_facts, budgets, candidates, upper, counts
):  # fmt: skip
    """Collect the items of one query whose bounds (M,) reach `least`, and narrow them; return how many are left.

    `candidates` and `upper` (b,) are filled with them and their bounds, `counts` (4,) with what was done. The items and
    the query are as in `best_first`; `budgets` (2,) are the most items to narrow and to verify.
    """
    number = _collect(bounds, least, candidates, upper)
    counts[REACHED] = number
    if number > budgets[0]:
        counts[ABANDONED] = 1
        return 0
    number = _narrow(
        candidates, upper, number, least, coarse, facts[:, :CODE_FACTS], query_coarse, query_facts[:CODE_FACTS]
    )
    number = _narrow(
        candidates, upper, number, least, fine, facts[:, CODE_FACTS:], query_fine, query_facts[CODE_FACTS:]
    )
    counts[NARROWED] = number
    counts[ABANDONED] = number > budgets[1]
    return number


@compiled
def _verify(j, pixels, where, sums, variances, size, query, query_sum, query_variance, values, places, ties):
    """Offer item j to the list of a query (D,), by the exact integer sum of products with its stored pixels."""
    numerator = size * dot_stored(pixels[where[j]], query) - query_sum * sums[j]
    offer(values, places, ties, correlation(numerator, variances[j], query_variance), j)


@compiled
def _contains(places, place):
    """Return whether `places` (k,) hold a place."""
    held = False
    for p in range(places.shape[0]):
        held |= places[p] == place
    return held


@compiled
def best_first(
    bounds, coarse, fine, facts, query_coarse, query_fine, query_facts, slack, pixels, where, sums, variances, size,
    queries, query_sums, query_variances, budgets, values, places, ties, counts,
):  # fmt: skip
    """Verify items in falling order of their bounds, until none can be among the best.

    The greatest bounds are verified first, so that the list holds good values before anything is collected: what then
    reaches its k-th value is narrowed by coarse codes, by fine ones, and verified. An item whose bound is below cannot
    be among the best; and once the next bound in order is below, none of the rest can.

    Args:
        bounds: (n, M) float32 upper bounds of all correlations, less `slack`.
        coarse: (M, large) int8 codes (`encode_residuals`).
        fine: (M, small) int8 codes.
        facts: (M, 8) float64.
        query_coarse: (n, large), as the bank's, and likewise `query_fine` and `query_facts`.
        query_fine: (n, small).
        query_facts: (n, 8).
        slack: what float32 may lose of a bound.
        pixels: (rows, D) uint8; item j is row where[j].
        where: (M,) int64.
        sums: (M,) of levels 0 to 255.
        variances: (M,) n Sxx - Sx^2.
        size: D, the pixels of a row, of the type that keeps products exact (`uint8.Uint8Block.size`).
        queries: (n, D) int8, levels less 128.
        query_sums: (n,) of these.
        query_variances: (n,).
        budgets: (2,) the most items to narrow and to verify; a query beyond them is abandoned: the values in its list
            are exact, but better ones may be missing.
        values: (n, k) lists, as `places` (n, k) and `ties` (n,).
        places: see `values`.
        ties: see `values`.
        counts: (n, 4), is filled: reached, narrowed, verified, abandoned.
    """
    depth = values.shape[1]
    seed_bounds, seeds = np.empty(depth, np.float32), np.empty(depth, np.int64)
    candidates, upper = np.empty(budgets[0], np.int64), np.empty(budgets[0], np.float32)
    limits = np.array([budgets[0], budgets[1] + depth])  # seeds among the candidates are verified already
    for q in range(bounds.shape[0]):
        if query_variances[q] == 0:
            push_zero_variance(values[q], places[q], 0, bounds.shape[1])
            continue
        # A list that an earlier view of the query has filled may be better than these bounds: they are then skipped.
        _greatest_bounds(bounds[q], seed_bounds, seeds)
        for p in range(depth):
            if seeds[p] >= 0 and seed_bounds[p] >= values[q, depth - 1] - slack:
                counts[q, VERIFIED] += 1
                _verify(
                    seeds[p], pixels, where, sums, variances, size, queries[q], query_sums[q], query_variances[q],
                    values[q], places[q], ties[q : q + 1],
                )  # fmt: skip
        number = _candidates(
            bounds[q], np.float32(values[q, depth - 1] - slack), coarse, fine, facts, query_coarse[q], query_fine[q],
            query_facts[q], limits, candidates, upper, counts[q],
        )  # fmt: skip
        if counts[q, ABANDONED]:
            continue
        for p in np.argsort(-upper[:number]):
            if upper[p] < values[q, depth - 1] - slack:
                break
            if _contains(seeds, candidates[p]):  # verified above: a second time its tie would be counted twice
                continue
            counts[q, VERIFIED] += 1
            _verify(
                candidates[p], pixels, where, sums, variances, size, queries[q], query_sums[q], query_variances[q],
                values[q], places[q], ties[q : q + 1],
            )  # fmt: skip
