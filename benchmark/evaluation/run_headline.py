"""What a run's record means, in one sentence: the last line on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.core.types import Score
from benchmark.evaluation.verdict import BLIND, WIDE, judge
from benchmark.records.columns import ABSENT, detectors_of, with_interval

if TYPE_CHECKING:
    from benchmark.records.record import Record

NEEDED = ("exposed.items", "exposed.patients", "exposed.verbatim", "detector.recall.exact", "withheld.items")
"""Scores of each detector that the sentence comes from."""


def headline(record: Record) -> str:
    """Return `HOLD: ...`, `NOTHING FOUND: ...`, `CANNOT TELL: ...`, `REFUSED: ...` or `NOT SCORED: ...`.

    The verdict is that of `bench audit`, with one difference: a run is not asked for a share that must be visible.
    Nothing is found only where every detector could tell, and no interval reaches far beyond what would have been seen.
    """
    detectors = detectors_of(record)
    if record.status != "done" or not detectors:
        return f"NOT SCORED: {record.reason or 'the record has no scores of exposure'}"
    outcomes = {detector: {name: _score(record, f"{name}[{detector}]") for name in NEEDED} for detector in detectors}
    seen = _score(record, "detectable.share")
    # The union of the lists is not in the record: the longest one is a lower bound of it.
    suspects = max(int(scores["withheld.items"].value or 0) for scores in outcomes.values())
    verdict = judge(
        outcomes,
        seen,
        samples=record.spec.samples,
        suspects=suspects,
        must_see=min(BLIND, _share(seen, outcomes)),
    )
    sentence = verdict.sentence
    if verdict.kind == "nothing found":
        widest = max(detectors, key=lambda name: outcomes[name]["exposed.items"].high or 0.0)
        share = with_interval(record.scores[f"exposed.items[{widest}]"])
        sentence = f"{sentence}; the exposed share is {share} by {widest}"
        # Inverted images or noise copy nobody in the eyes of a detector, whatever the model has memorised.
        unlike = _score(record, "samples.unlike").reason if "samples.unlike" in record.scores else ""
        if unlike:
            return f"CANNOT TELL: {unlike}; {sentence}"
    refused = any(scores["exposed.items"].reason.startswith("refused: ") for scores in outcomes.values())
    if verdict.kind == "cannot tell" and refused:
        return f"REFUSED: {sentence}"
    return f"{verdict.kind.upper()}: {sentence}"


def _share(seen: Score, outcomes: dict[str, dict[str, Score]]) -> float:
    """Return the share with which the verdict is about the interval alone: nobody has asked a run for one."""
    if seen.value is None:
        return 1.0
    high = max(scores["exposed.items"].high or 0.0 for scores in outcomes.values())
    return high if seen.value < high <= WIDE * seen.value else seen.value


def _score(record: Record, name: str) -> Score:
    """Return a score; one that a record should have and has not is no number, never 0."""
    entry = record.scores.get(name)
    if entry is None:
        return Score(value=None, reason=f"{name} is {ABSENT}")
    return Score(value=entry.value, low=entry.low, high=entry.high, reason=entry.reason)
