"""Compiled loops of the index: box sums of pixels, codes of coefficients, and best-first verification."""

from __future__ import annotations

import math

import numpy as np

from benchmark.search.kernels import (
    ENLARGED,
    ROUNDED,
    STRIPE,
    _compiled,
    _finite,
    _reordering,
    correlation,
    dot_levels,
    dot_stored,
    greatest_size,
    offer,
    push,
    push_zero_variance,
    reaching,
)

REACHED, NARROWED, VERIFIED, ABANDONED = 0, 1, 2, 3
"""Columns of the counts."""


@_reordering
def box_sums(rows, height, width, tops, lefts, out):
    """Fill sums of int8 pixels over boxes: rows (n, planes * height * width), out (n, planes, boxes, boxes) int32."""
    line = np.empty(width, np.int32)
    for i in range(rows.shape[0]):
        for plane in range(out.shape[1]):
            start = plane * height * width
            for a in range(tops.shape[0] - 1):
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


@_reordering
def pyramid(sums, means, scales, areas, parents, shares, boxes, low, outside):
    """Fill coefficients of boxes and of the larger boxes that they make up, of n items of mean 0 and length 1, float32.

    `sums` (n, boxes) of pixels; `areas` (boxes,) are the roots of their pixels; `parents` (boxes,) the numbers of the
    larger boxes, and `shares` (boxes,) the roots of the boxes' shares of them. `outside` (n,) float64 is the length of
    what boxes leave of an item.
    """
    large, inverse = np.empty(low.shape[1]), 1 / areas
    for i in range(sums.shape[0]):
        large[:] = 0
        energy = 0.0
        for b in range(sums.shape[1]):
            value = (float(sums[i, b]) * inverse[b] - means[i] * areas[b]) * scales[i]
            boxes[i, b] = np.float32(value)
            large[parents[b]] += value * shares[b]
            energy += value * value
        outside[i] = math.sqrt(max(0.0, 1 - energy))
        for b in range(large.shape[0]):
            low[i, b] = np.float32(large[b])


@_finite
def _code(row, codes, facts):
    """Write a float32 row as step * int8; facts: its length, step, length of the code, length of what it misses.

    Lengths are enlarged by more than float32 may lose in sums of 4,096 terms, the last one by what rows were rounded.
    """
    most = max(greatest_size(row), np.float32(1e-30))
    step = np.float32(most / 127)
    inverse = np.float32(127 / most)
    for j in range(row.shape[0]):
        codes[j] = np.int8(np.floor(row[j] * inverse + np.float32(0.5)))
    whole, coded, missed = np.float32(0), np.float32(0), np.float32(0)
    for j in range(row.shape[0]):
        code = np.float32(codes[j]) * step
        whole += row[j] * row[j]
        coded += code * code
        missed += (code - row[j]) * (code - row[j])
    facts[0], facts[2] = ENLARGED * math.sqrt(whole), ENLARGED * math.sqrt(coded)
    facts[1], facts[3] = step, ENLARGED * math.sqrt(missed) + ROUNDED


@_compiled
def encode_residuals(boxes, low, inside, parents, shares, coarse, fine, facts):
    """Code what directions leave of `low`, and what `low` leaves of `boxes`.

    `inside` (n, low) is the part of `low` in the directions. `facts` (n, 8): four numbers of each code (`_code`).
    """
    rest, detail = np.empty(low.shape[1], np.float32), np.empty(boxes.shape[1], np.float32)
    for i in range(boxes.shape[0]):
        for b in range(low.shape[1]):
            rest[b] = np.float32(low[i, b] - inside[i, b])
        _code(rest, coarse[i], facts[i, 0:4])
        for b in range(boxes.shape[1]):
            detail[b] = boxes[i, b] - shares[b] * low[i, parents[b]]
        _code(detail, fine[i], facts[i, 4:8])


@_compiled
def _seeds(row, values, places):
    """Find the greatest bounds of a row: their items are looked at first."""
    values[:] = -np.inf
    places[:] = -1
    last = values.shape[0] - 1
    for start in range(0, row.shape[0], STRIPE):
        stop = min(start + STRIPE, row.shape[0])
        if reaching(row[start:stop], values[last]):
            for j in range(start, stop):
                if row[j] > values[last]:
                    push(values, places, row[j], j)


@_compiled
def _collect(row, least, places, bounds):
    """Fill the places and bounds of what reaches `least`; return how many there are, one more than fit at most."""
    number = 0
    for start in range(0, row.shape[0], STRIPE):
        stop = min(start + STRIPE, row.shape[0])
        if reaching(row[start:stop], least) == 0:
            continue
        for j in range(start, stop):
            if row[j] >= least:
                if number == places.shape[0]:
                    return number + 1
                places[number], bounds[number] = j, row[j]
                number += 1
    return number


@_compiled
def _closer(bound, codes, facts, our_codes, our_facts):
    """Put the product of two codes, and what they may miss, in the place of the product of two lengths."""
    closer = facts[1] * our_facts[1] * float(dot_levels(codes, our_codes))
    closer += facts[2] * our_facts[3] + facts[3] * (our_facts[2] + our_facts[3])
    return np.float32(bound + min(0.0, closer - facts[0] * our_facts[0]))


@_compiled
def _narrow(found, bound, number, least, codes, facts, our_codes, our_facts):
    """Keep the items whose closer bound reaches `least`; return how many."""
    left = 0
    for p in range(number):
        j = found[p]
        narrow = _closer(bound[p], codes[j], facts[j], our_codes, our_facts)
        if narrow >= least:
            found[left], bound[left] = j, narrow
            left += 1
    return left


@_compiled
def best_first(
    bounds, coarse, fine, facts, our_coarse, our_fine, our_facts, slack, pixels, where, sums, variances, size, ours,
    our_sums, our_variances, budgets, values, places, ties, counts,
):  # fmt: skip
    """Verify items in falling order of their bounds, until none can be among the best.

    `bounds` (n, M) are upper bounds of all correlations, which codes (`encode_residuals`) narrow for those that reach the
    best so far; item j is row where[j] of `pixels`, uint8, and `sums` are of these. `budgets` are the greatest numbers
    to narrow and to verify; a query beyond them is abandoned, and what is in its lists is true, but not all. `counts`
    (n, 4): reached, narrowed, verified, abandoned.
    """
    depth = values.shape[1]
    seeds, seeded = np.empty(depth, np.float32), np.empty(depth, np.int64)
    found, bound = np.empty(budgets[0], np.int64), np.empty(budgets[0], np.float32)
    for q in range(bounds.shape[0]):
        if our_variances[q] == 0:
            push_zero_variance(values[q], places[q], 0, bounds.shape[1])
            continue
        _seeds(bounds[q], seeds, seeded)
        for p in range(depth):
            j = seeded[p]
            if j >= 0 and seeds[p] >= values[q, depth - 1] - slack:
                counts[q, VERIFIED] += 1
                inner = size * dot_stored(pixels[where[j]], ours[q]) - our_sums[q] * sums[j]
                offer(values[q], places[q], ties[q : q + 1], correlation(inner, variances[j], our_variances[q]), j)
        least = np.float32(values[q, depth - 1] - slack)
        number = _collect(bounds[q], least, found, bound)
        counts[q, REACHED] = number
        if number > budgets[0]:
            counts[q, ABANDONED] = 1
            continue
        number = _narrow(found, bound, number, least, coarse, facts[:, 0:4], our_coarse[q], our_facts[q, 0:4])
        number = _narrow(found, bound, number, least, fine, facts[:, 4:8], our_fine[q], our_facts[q, 4:8])
        counts[q, NARROWED] = number
        if number > budgets[1] + depth:
            counts[q, ABANDONED] = 1
            continue
        for p in np.argsort(-bound[:number]):
            j = found[p]
            if bound[p] < values[q, depth - 1] - slack:
                break
            if _among(seeded, j):
                continue
            counts[q, VERIFIED] += 1
            inner = size * dot_stored(pixels[where[j]], ours[q]) - our_sums[q] * sums[j]
            offer(values[q], places[q], ties[q : q + 1], correlation(inner, variances[j], our_variances[q]), j)


@_compiled
def _among(places, place):
    found = False
    for p in range(places.shape[0]):
        found |= places[p] == place
    return found
