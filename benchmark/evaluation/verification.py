"""Is a record's headline what its receipts give? Recomputed without images, patients and a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmark.evaluation.exposure import possible_scores
from benchmark.evaluation.receipts import replay
from benchmark.metrics.detectable import detectable
from benchmark.records.columns import ABSENT, detectors_of
from benchmark.records.receipt import Order, Receipt
from benchmark.records.record import Record, ScoreEntry, entries

FIELDS = ("value", "low", "high", "n", "direction")
CLOSE = 1e-9
"""Relative difference of two machines' rounding."""


def first_difference(record: Record) -> str:
    """Return the first number of a record that its receipts contradict, with both; nothing where all are the same."""
    return next(differences(record), "")


def differences(record: Record) -> Iterator[str]:
    """Yield what of a record is not what its receipts give."""
    if record.digest != record.content_digest:
        yield "the digest is missing" if not record.digest else "the record was changed after its digest was written"
    yield from contradictions(record)


def contradictions(record: Record) -> Iterator[str]:
    """Yield what of a record is not what its receipts give; whether its digest is right was seen when it was read."""
    if record.status != "done":
        return
    detectors = detectors_of(record)
    if not detectors or set(detectors) != set(record.receipts):
        yield f"it has receipts of {_named(tuple(record.receipts))}, and scores by {_named(detectors)}"
    for detector, receipt in record.receipts.items():
        yield from (f"{difference}" for difference in _of_detector(record, detector, receipt))


def _named(detectors: Sequence[str]) -> str:
    return ", ".join(sorted(detectors)) or "no detector"


def _of_detector(record: Record, detector: str, receipt: Receipt) -> Iterator[str]:
    for order in filter(None, (receipt.order, receipt.everyone)):
        if unfit := _unfit(record, order):
            yield f"the receipt of {detector} is of {unfit}"
            return
    try:
        exposure = replay(receipt)
    except ValueError as error:
        yield f"the receipt of {detector} contradicts itself: {error}"
        return
    for name, computed in entries(exposure.scores).items():
        yield from _compared(f"{name}[{detector}]", record.scores.get(f"{name}[{detector}]"), computed)
    given, name = record.replicates.get(f"exposed.items[{detector}]", ()), f"replicates of exposed.items[{detector}]"
    if len(given) != len(exposure.replicates):
        yield f"{name}: {len(given)} in the record, {len(exposure.replicates)} by its receipt"
    for number, (one, other) in enumerate(zip(given, exposure.replicates, strict=False), start=1):
        if not _close(one, other):
            yield f"{name}: number {number} is {one:.9g} in the record, {other:.9g} by its receipt"
    yield from _possible(record, receipt)


def _unfit(record: Record, order: Order) -> str:
    """Return what of an order cannot be of this record; else nothing."""
    patients = record.cohort.patients
    if order.samples != record.spec.samples:
        return f"{order.samples} samples, and the record of {record.spec.samples}"
    if order.train > patients["train"]:
        return f"{order.train} training patients, and the record of {patients['train']}"
    held = sum(patients.values()) - patients["train"]
    return f"{order.heldout} held-out patients, and the record of {held}" if order.heldout > held else ""


def _possible(record: Record, receipt: Receipt) -> Iterator[str]:
    """Compare what can be shown; the share also depends on the numbers of images, where patients differ in these."""
    order = receipt.order
    computed = entries(possible_scores(detectable(order.train, order.heldout, receipt.different)))
    for name in ("detectable.patients", *(() if receipt.uneven else ("detectable.share",))):
        yield from _compared(name, record.scores.get(name), computed[name])


def _compared(name: str, given: ScoreEntry | None, computed: ScoreEntry) -> Iterator[str]:
    if given is None:
        yield f"{name}: {ABSENT}"
        return
    for field in FIELDS:
        one, other = getattr(given, field), getattr(computed, field)
        if not _close(one, other):
            yield f"{name}: {field} {_text(one)} in the record, {_text(other)} by its receipt"
    # A value may have a reason that weakens it, which does not come from here; no value has the reason of its refusal.
    if computed.value is None and given.value is None and given.reason != computed.reason:
        yield f"{name}: the reason {given.reason!r} in the record, {computed.reason!r} by its receipt"


def _text(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _close(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)
    return one == other
