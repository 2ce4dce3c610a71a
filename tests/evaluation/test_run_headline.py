"""The last line of a run: never an all-clear where a detector could not tell."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark.evaluation.run_headline import headline
from benchmark.records.record import CohortFacts, Record, ScoreEntry, Spec

CLEAR = (0.0, 0.0, 0.004)


def scores(share: tuple[float, float, float], *, verbatim: int = 0, listed: int = 0) -> dict[str, ScoreEntry]:
    value, low, high = share
    return {
        "exposed.items": ScoreEntry(value=value, low=low, high=high),
        "exposed.patients": ScoreEntry(value=10 * value, low=10 * low, high=10 * high),
        "exposed.verbatim": ScoreEntry(value=verbatim),
        "detector.recall.exact": ScoreEntry(value=1.0),
        "withheld.items": ScoreEntry(value=listed),
    }


def record(seen: float | None = 0.01, **detectors: dict[str, ScoreEntry]) -> Record:
    named = {f"{name}[{one}]": entry for one, given in detectors.items() for name, entry in given.items()}
    detectable = ScoreEntry(value=seen, reason="" if seen is not None else "10 samples are too few")
    return record_of({**named, "detectable.share": detectable})


def record_of(entries: dict[str, ScoreEntry], **more: Any) -> Record:
    return Record(
        spec=Spec(model="ldm", preset="smoke", settings={}, data="toy", data_options={}, samples=200, seed=0),
        cohort=CohortFacts(
            name="toy", key="0123", shape=(1, 8, 8), channels=("x",), spacing_mm=(),
            items={"train": 50}, patients={"train": 10},
        ),
        scores=entries, cost={}, environment={}, hashes={}, **more,
    )  # fmt: skip


def without(given: dict[str, ScoreEntry], name: str, reason: str | None) -> dict[str, ScoreEntry]:
    left = {key: entry for key, entry in given.items() if key != name}
    return left if reason is None else {**left, name: ScoreEntry(value=None, reason=reason)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            record(copy=scores(CLEAR), pixels=scores((0.0, 0.0, 0.009))),
            (
                "NOTHING FOUND: no copies of training images; copies from 1.0 % of the synthetic images on would have "
                "been seen; the exposed share is 0.000 [0.000, 0.009] by pixels"
            ),
        ),
        (
            record(copy=scores((0.1, 0.06, 0.15), listed=20), pixels=scores(CLEAR, listed=1)),
            "HOLD: 20 of 200 synthetic images look like one particular training patient (copy: 6.0 % to 15.0 % of all)",
        ),
        (
            record(copy=scores(CLEAR, verbatim=1, listed=1), pixels=scores(CLEAR)),
            "HOLD: 1 of 200 synthetic images looks like one particular training patient (copy: 1 nearly identical)",
        ),
        (
            record(copy=scores(CLEAR), pixels=scores((0.0, 0.0, 0.05))),
            "CANNOT TELL: no copies are certain, but up to 5.0 % of the synthetic images may be copies",
        ),
        (
            record(copy=scores(CLEAR), pixels=scores((0.0, 0.0, 0.02))),
            (
                "NOTHING FOUND: no copies of training images; copies from 1.0 % of the synthetic images on would have "
                "been seen; the exposed share is 0.000 [0.000, 0.020] by pixels"
            ),
        ),
        (
            record(0.5, copy=scores((0.0, 0.0, 0.2))),
            (
                "CANNOT TELL: no copies are certain, but only copies from 50.0 % of the synthetic images on would have "
                "been seen, and up to 20.0 % may be copies: give more synthetic images, or more held-out patients"
            ),
        ),
        (
            record(None, copy=scores(CLEAR)),
            "CANNOT TELL: nothing was found, and nothing could have been: 10 samples are too few",
        ),
        (
            record(
                copy=scores(CLEAR), pixels=without(scores(CLEAR), "exposed.items", "refused: the split is not fair")
            ),
            "REFUSED: pixels: the split is not fair",
        ),
        (
            record(copy=without(scores(CLEAR), "exposed.items", "cannot tell: nobody said whom it has seen")),
            "CANNOT TELL: copy: nobody said whom it has seen",
        ),
        (
            record(copy=without(scores(CLEAR), "detector.recall.exact", None)),
            "CANNOT TELL: copy found only 0 % of exact copies that were planted, so it sees too little here",
        ),
        (
            record(copy=without(scores(CLEAR), "exposed.items", None)),
            "CANNOT TELL: copy: exposed.items[copy] is not in the record",
        ),
        (
            record_of({name: entry for name, entry in record(copy=scores(CLEAR)).scores.items() if "[" in name}),
            "CANNOT TELL: nothing was found, and nothing could have been: detectable.share is not in the record",
        ),
        (record_of({}), "NOT SCORED: the record has no scores of exposure"),
        (record_of({}, status="declined", reason="needs a GPU"), "NOT SCORED: needs a GPU"),
    ],
)
def test_the_sentence(given: Record, expected: str) -> None:
    assert headline(given) == expected


def test_samples_unlike_the_training_images_are_no_all_clear() -> None:
    """Inverted images are like nobody for a detector: the record's note must reach the last line."""
    given = record(copy=scores(CLEAR))
    unlike = ScoreEntry(value=0.9, n=200, reason="90 % of the samples are darker than the training images")
    told = headline(record_of({**given.scores, "samples.unlike": unlike}))
    assert told.startswith(
        "CANNOT TELL: 90 % of the samples are darker than the training images; no copies of training"
    )
    assert headline(given).startswith("NOTHING FOUND: ")
