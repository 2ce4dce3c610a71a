"""Compiled loops on running lists: the k best of each query, sorted by falling value, then rising place.

Loops skip what cannot enter a list: `count_reaching` looks at a tile of values at once.
"""

from __future__ import annotations

import math

from benchmark.search.compiled import compiled

TILE = 128
"""Values that are compared with the k-th best at once: most tiles hold nothing near it, and are skipped whole. 128
float64 values are 1 KiB, 16 vectors of 512 bits: long enough to vectorise, short enough that few are read twice."""


@compiled
def push(values, places, value, place):
    """Insert one item into a list, values (k,) and places (k,); an item that is there already keeps its best value.

    Free entries are -inf and -1. The same item comes again when a query has several views.
    """
    last = values.shape[0] - 1
    # Most values are refused here: below the last entry, or equal to it and later in the bank.
    if value < values[last] or (value == values[last] and place > places[last] >= 0):
        return
    # The entry that is overwritten: the item's own, or the last, which drops out.
    free = last
    for p in range(last + 1):
        if places[p] == place:
            if value <= values[p]:
                return
            free = p
            break
    # Greater values, and equal ones of lower places, stay in front; what is behind moves one entry back.
    p = free
    while p > 0 and (
        values[p - 1] < value or (values[p - 1] == value and (places[p - 1] > place or places[p - 1] < 0))
    ):
        values[p], places[p] = values[p - 1], places[p - 1]
        p -= 1
    values[p], places[p] = value, place


@compiled
def offer(values, places, ties, value, place):
    """Push to a list (k,), and count in `ties` (1,) how many other items are as near as the nearest.

    The count may be too high where several views of a query tie with the same item; whether it is 0 is exact.
    """
    if value > values[0]:
        ties[0] = 0  # what tied with the former nearest is no longer nearest
    elif value == values[0] and places[0] != place:
        ties[0] += 1
    push(values, places, value, place)


@compiled
def push_zero_variance(values, places, offset, size):
    """Push the first items of a block to the list (k,) of a query without variance.

    Its correlation with every item is 0 by convention, so that all items tie and the lowest places win.
    """
    for j in range(min(values.shape[0], size)):
        push(values, places, 0.0, offset + j)


@compiled
def correlation(numerator, first, second):
    """Return n / sqrt(v w) in float64, of three numbers; 0 where a variance is 0.

    A copy has n = v = w and reads exactly 1: the root of a rounded square is the number itself in IEEE arithmetic
    (short of overflow), which a product with 1 / sqrt v would not give. Rounding can pass 1 elsewhere: it is cut there.
    """
    if first == 0 or second == 0:
        return 0.0
    return min(1.0, max(-1.0, float(numerator) / math.sqrt(float(first) * float(second))))


@compiled
def count_reaching(row, least):
    """Count the values of a row (n,) that are `least` or more.

    A sum of comparisons vectorises, unlike a search for the first, or the maximum, under IEEE rules. `least` may be
    -inf, so that this must not be compiled as `finite`.
    """
    number = 0
    for j in range(row.shape[0]):
        number += row[j] >= least
    return number


@compiled
def merge_lists(values, places, ties, new_values, new_places, new_ties):
    """Merge the lists of a later block, (n, l), into running lists (n, k), in place; ties are (n,).

    Ties of both blocks add up, and the nearest item of the later block is one more, unless it is the same item.
    """
    for q in range(values.shape[0]):
        # Ties first: they are counted against the nearest values of both lists as they were.
        if new_values[q, 0] > values[q, 0]:
            ties[q] = new_ties[q]
        elif new_values[q, 0] == values[q, 0]:
            ties[q] = max(ties[q], new_ties[q]) if new_places[q, 0] == places[q, 0] else ties[q] + new_ties[q] + 1
        for p in range(new_values.shape[1]):
            push(values[q], places[q], new_values[q, p], new_places[q, p])
