"""Receipts: what the headline was computed from, made when it is measured and replayed by the same function.

`receipt_of` takes the arguments of `measure_exposure` and keeps what decides; `replay` calls `measure_exposure` with
what was kept. There is no second formula.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.evaluation.exposure import Exposure, measure_exposure, replicates_at, threshold_score
from benchmark.metrics.competition import SPENDING, Nearest, exposed, tie_seed
from benchmark.metrics.epsilon import numbers, right_guesses
from benchmark.metrics.heldout_seen import MIRROR_SPENDING
from benchmark.metrics.replicates import GROUP, deepest_sample
from benchmark.metrics.split_test import SplitTest
from benchmark.records.receipt import Order, Receipt, SplitFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Split

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.int64]

SEED = 0
"""Seed of weights, as of every evaluation."""
BEYOND = 3
"""Held-out patients past the depth X at which the competition is read to find it (`competition.depth`)."""
LISTED = len(SPENDING)
"""Held-out patients at which the list to withhold is read at most."""
LOOKED_AT = 64
"""Images that the numbers of patients depend on."""


def cohort_seed(real: Split, seed: int) -> int:
    """Return a seed of a cohort that nobody can repeat without its names and images.

    It orders patients of equal similarity, pairs them, and numbers them in receipts. Names alone can be guessed.
    """
    some = np.unique(np.linspace(0, len(real) - 1, LOOKED_AT).round().astype(np.int64))
    content = hashlib.sha256(np.ascontiguousarray(real.stored(some)).tobytes()).hexdigest()
    return tie_seed([*real.dealt, content], seed)


def receipt_of(
    nearest: Nearest,
    train_similarity: Floats,
    best: Floats,
    *,
    level: float,
    seen_level: float,
    split: SplitTest | None,
    pair_seed: int,
    everyone: Nearest,
    tied: float,
    different: int,
    refusal: str,
    scored: bool,
    uneven: bool,
) -> Receipt:
    """Keep what decides a headline.

    Args:
        nearest, train_similarity, best, level, seen_level, split, pair_seed, everyone, tied, different, refusal: as of
            `measure_exposure`.
        scored: whether the headline has a value: replicates need more of the order.
        uneven: whether training patients have different numbers of images.
    """
    result = exposed(nearest)
    reach = deepest_sample(nearest, replicates_at(result), seed=SEED) if scored else 0
    prompted, read = everyone is not nearest, result.depth + BEYOND
    whole = _order(everyone, _needed(everyone, LISTED if prompted else read, 0 if prompted else reach))
    length, falling = len(whole.patients), np.argsort(-everyone.similarity, kind="stable")
    verbatim = (train_similarity > level)[falling]
    above = everyone.similarity[falling] > seen_level
    held = np.where(everyone.patient[falling] >= everyone.train, everyone.patient[falling], -1)
    before, after = (set(held[part][above[part]].tolist()) - {-1} for part in (slice(length), slice(length, None)))
    guesses = right_guesses(best[: nearest.train], best[nearest.train :], seed=pair_seed)
    return Receipt(
        order=_order(nearest, _needed(nearest, read, reach)) if prompted else whole,
        everyone=whole if prompted else None,
        threshold=result.threshold,
        verbatim=tuple(np.flatnonzero(verbatim[:length]).tolist()),
        verbatim_beyond=int(verbatim[length:].sum()),
        seen=int(above[:length].sum()),
        seen_beyond=len(after - before),
        hits=tuple(int(guesses[:number].sum()) for number in numbers(len(guesses))),
        split=None if split is None else SplitFacts(
            p_value=split.p_value, same_side=_share(split.same_side), expected=_share(split.expected),
            mixed_p=split.mixed_p,
        ),
        tied=tied, different=different, refusal=refusal, uneven=uneven,
    )  # fmt: skip


def _share(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))  # a sum of weights, rounded


def _needed(nearest: Nearest, read: int, reach: int) -> int:
    """Return how many samples, the most similar first, decide: all where few held-out patients are met.

    Args:
        nearest: the nearest patient of each of N samples.
        read: held-out patients at which the competition is read.
        reach: samples that replicates need.
    """
    falling = np.argsort(-nearest.similarity, kind="stable")
    similarity, patient = nearest.similarity[falling], nearest.patient[falling]
    first = np.sort(np.unique(patient, return_index=True)[1])
    held = first[patient[first] >= nearest.train]
    trained = first[patient[first] < nearest.train]
    mirrored = len(MIRROR_SPENDING)
    if len(held) < read or len(trained) < mirrored:
        return len(patient)
    last = max(int(held[read - 1]), int(trained[mirrored - 1]), reach - 1)
    return int(np.count_nonzero(similarity >= similarity[last]))  # equal ones are decided together


def _order(nearest: Nearest, needed: int) -> Order:
    falling = np.argsort(-nearest.similarity, kind="stable")[:needed]
    similarity, patient = nearest.similarity[falling], nearest.patient[falling]
    place, number = np.unique(nearest.priority.astype(np.int64)[patient], return_inverse=True)
    return Order(
        train=nearest.train, heldout=nearest.heldout, samples=len(nearest.similarity),
        patients=tuple(number.tolist()), training=tuple(np.unique(number[patient < nearest.train]).tolist()),
        groups=tuple((place // GROUP).tolist()),
        ties=tuple((1 + np.flatnonzero(similarity[1:] == similarity[:-1])).tolist()),
    )  # fmt: skip


def replay(receipt: Receipt) -> Exposure:
    """Measure the exposure again from what was kept. Raises ValueError for a receipt that contradicts itself."""
    everyone = receipt.everyone or receipt.order
    whole = _nearest(everyone, receipt.seen_beyond)
    nearest = whole if receipt.everyone is None else _nearest(receipt.order, 0)
    verbatim = np.zeros(everyone.samples)
    length = len(everyone.patients)
    if any(place >= length for place in receipt.verbatim) or length + receipt.verbatim_beyond > everyone.samples:
        raise ValueError("verbatim samples that are not in the order")
    verbatim[list(receipt.verbatim)] = 1.0
    verbatim[length : length + receipt.verbatim_beyond] = 1.0
    measured = measure_exposure(
        nearest, verbatim, None, level=0.5, split=_split(receipt.split), seed=SEED, refusal=receipt.refusal,
        everyone=whole, tied=receipt.tied, seen_level=_seen_level(whole, receipt), different=receipt.different,
        guesses=_guesses(receipt),
    )  # fmt: skip
    read = measured.scores["exposed.threshold"]
    if (read.value is None) != (receipt.threshold is None):
        raise ValueError("the threshold is not that of the order")
    # Minus its place is the similarity of a sample here: only the order matters, and the threshold is told.
    told = {"exposed.threshold": threshold_score(receipt.threshold, read.n)}
    return replace(measured, scores={**measured.scores, **told})


def _seen_level(whole: Nearest, receipt: Receipt) -> float:
    """Return a level with `seen` samples of the order above it, and the held-out patients beyond."""
    length = len((receipt.everyone or receipt.order).patients)
    if receipt.seen > length or (receipt.seen_beyond and receipt.seen < length):
        raise ValueError("samples above the level for held-out patients that are not in the order")
    last = receipt.seen + receipt.seen_beyond
    return float(whole.similarity[last - 1]) - 0.5 if last else float(whole.similarity[0]) + 0.5


def _nearest(order: Order, heldout_beyond: int) -> Nearest:
    """Return the samples in their order: minus their place is their similarity.

    Samples that follow the order decide nothing but how many there are, and how many of further held-out patients are
    verbatim: the first of them are of these patients, one each, all others of the first patient of the order.
    """
    places = np.arange(len(order.patients), dtype=np.float64)
    places[list(order.ties)] = 0.0
    places = np.maximum.accumulate(places)
    trained = np.array(order.training, dtype=np.int64)
    numbers_of = np.array(order.patients, dtype=np.int64)
    held = np.setdiff1d(numbers_of, trained)
    priority, code = _priorities(order, trained, held)
    rest = order.samples - len(order.patients)
    if heldout_beyond > min(rest, order.heldout - len(held)):
        raise ValueError("more held-out patients beyond the order than there are")
    beyond = order.train + len(held) + np.arange(heldout_beyond)
    fillers = np.concatenate([beyond, np.full(rest - heldout_beyond, code[numbers_of[0]])])
    after = len(order.patients) + np.concatenate(
        [np.arange(heldout_beyond), np.full(len(fillers) - heldout_beyond, heldout_beyond)]
    )
    return Nearest(
        similarity=-np.concatenate([places, after]),
        patient=np.concatenate([code[numbers_of], fillers]).astype(np.int64),
        train=order.train, heldout=order.heldout, priority=priority,
    )  # fmt: skip


def _priorities(order: Order, trained: Codes, held: Codes) -> tuple[Floats, Codes]:
    """Return an order of all patients, (T + H,), in which each number is in its group, and the patient of each number.

    Patients that the receipt does not name have the places that are left.
    """
    groups = np.array(order.groups, dtype=np.int64)
    place = groups * GROUP + np.arange(len(groups)) - np.searchsorted(groups, groups)
    if (place // GROUP != groups).any() or place.max() >= order.train + order.heldout:
        raise ValueError("more patients in a group than it can have")
    free = np.setdiff1d(np.arange(order.train + order.heldout), place)
    unmet = order.train - len(trained)
    priority = np.concatenate([place[trained], free[:unmet], place[held], free[unmet:]])
    code = np.empty(len(groups), dtype=np.int64)
    code[trained], code[held] = np.arange(len(trained)), order.train + np.arange(len(held))
    return priority.astype(np.float64), code


def _guesses(receipt: Receipt) -> Flags:
    """Return guesses with so many right ones among the first r, at each r that is tried."""
    pairs = min(receipt.order.train, receipt.order.heldout)
    tried, hits = numbers(pairs)[::-1], receipt.hits[::-1]
    if len(tried) != len(hits):
        raise ValueError(f"{len(hits)} numbers of right guesses, and {len(tried)} are tried")
    right, start, before = np.zeros(pairs, dtype=bool), 0, 0
    for end, count in zip(tried, hits, strict=True):
        if not 0 <= count - before <= end - start:
            raise ValueError(f"{count} right guesses of {end}, after {before} of {start}")
        right[start : start + count - before] = True
        start, before = end, count
    return right


def _split(facts: SplitFacts | None) -> SplitTest | None:
    return None if facts is None else SplitTest(facts.p_value, facts.same_side, facts.expected, facts.mixed_p)
