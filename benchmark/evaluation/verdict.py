"""What the scores of an audit mean, in one sentence, three numbers and an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmark.core.percent import percent
from benchmark.core.types import Score

Kind = Literal["hold", "nothing found", "cannot tell"]

CLEAR, COPIES, CANNOT_TELL, TOO_WEAK, ABOVE = 0, 10, 11, 12, 13
"""Exit codes: nothing found, and the share asked for would have been seen; copies found; cannot tell; nothing found,
but that share might have stayed unseen; nothing found, but the upper end is above `--fail-above`. Errors of the
question, of files and of the machine have the codes 1 to 6 (`core/errors.py`)."""
WIDE = 3.0
"""An interval that ends above this multiple of the share that would have been seen tells nothing. The upper end allows
for the 1.3 % of the samples that chance may add, so that it lies above that share for honest models, too."""
BLIND = 0.25
"""Where a larger share than this might be copies and stay unseen, nothing found means nothing, unless the question
allows for such a share (`must_see`). Without this limit small sets would be cleared the more easily the less they can
show: WIDE allows for three times what would have been seen."""
LOCAL = "local"
"""The detector of parts: what it finds nearly identical is a part of an image."""
SEEN_EXACTLY = 0.95
"""Share of planted exact copies that a detector must find before what it has not found means anything."""

Scores = Mapping[str, Score]


@dataclass(frozen=True)
class Verdict:
    """The answer of an audit."""

    kind: Kind
    sentence: str
    """For the terminal and the first line of a report."""
    share: Score
    """Share of the synthetic images that are copies, of the detector with the largest lower end."""
    patients: Score
    """Training patients of whom there are copies, of the same detector."""
    seen: float | None
    """The smallest share of copies that this question would have shown with 95 % power."""
    suspects: int
    """Synthetic images to withhold, of any detector."""
    exit_code: int


def with_audit_advice(scores: Scores) -> dict[str, Score]:
    """Return the scores with reasons that advise what an audit offers: a run has other options."""
    return {name: replace(score, reason=_of_audit(score.reason)) for name, score in scores.items()}


def _of_audit(reason: str) -> str:
    told, leak, _ = reason.partition("; look for leaks")
    return f"{told}; give held-out patients that it has not seen" if leak else reason


def judge(
    outcomes: Mapping[str, Scores],
    seen: Score,
    *,
    samples: int,
    suspects: int,
    striking: int = 0,
    unread: int = 0,
    missing: int = 0,
    unlike: str = "",
    must_see: float,
    fail_above: float | None = None,
) -> Verdict:
    """Return the verdict from the scores of each detector, by ids without the detector.

    Copies found by any detector decide. Nothing is found only where every detector could tell: a detector that was
    refused, an interval that reaches far beyond what would have been seen, or a set of which a quarter might be copies
    unseen, gives no all-clear. The exit code is 0 only where a share of `must_see` would have been seen, and the
    interval ends below it.

    Args:
        outcomes: scores by detector, `exposed.items`, `exposed.patients`, `exposed.verbatim` among them.
        seen: `detectable.share`.
        samples: synthetic images that were compared.
        suspects: how many of them any detector withholds.
        striking: how many of these are much more like their training image at full size than any synthetic image is
            like a held-out one.
        unread: synthetic files that were not compared.
        missing: training images that were left out: copies of them cannot be seen.
        unlike: why the synthetic images would not be found whatever they copy; empty where they would.
        must_see: the share of copies that would have to be seen.
        fail_above: the largest upper end of the share with which the exit code may be 0.
    """
    worst = max(outcomes, key=lambda name: _rank(outcomes[name]))
    share, patients = outcomes[worst]["exposed.items"], outcomes[worst]["exposed.patients"]

    def verdict(kind: Kind, sentence: str, code: int) -> Verdict:
        return Verdict(kind, sentence, share, patients, seen.value, suspects, code)

    if copies := _found(outcomes):
        return verdict("hold", f"{_copies(suspects, striking, samples)} ({copies}){_unsaid(outcomes)}", COPIES)
    if striking:
        return verdict("cannot tell", _look(striking), CANNOT_TELL)
    if why := _why_not(outcomes, seen, unread, missing, unlike):
        return verdict("cannot tell", why, CANNOT_TELL)
    assert seen.value is not None
    high = max(scores["exposed.items"].high or 0.0 for scores in outcomes.values())
    if high > WIDE * max(seen.value, must_see):
        wide = f"no copies are certain, but up to {percent(high)} of the synthetic images may be copies"
        return verdict("cannot tell", wide, CANNOT_TELL)
    if max(seen.value, high) > max(BLIND, must_see):
        return verdict("cannot tell", _blind(seen.value, high), CANNOT_TELL)
    told = (
        f"no copies of training images; copies from {percent(seen.value)} of the synthetic images on would have been "
        "seen"
    )
    also = f"; {suspects} that may be alike by chance are in withhold.csv" if suspects else ""
    if seen.value > must_see:
        more = "give more synthetic images, or more held-out patients"
        return verdict("nothing found", f"{told}, but {percent(must_see)} was asked for: {more}{also}", TOO_WEAK)
    if high > must_see:
        above = f"up to {percent(high)} may be copies, and {percent(must_see)} was asked for"
        return verdict("nothing found", f"{told}, but {above}{also}", TOO_WEAK)
    if fail_above is not None and high > fail_above:
        return verdict(
            "nothing found",
            f"{told}, but up to {percent(high)} may be copies ({percent(fail_above)} at most){also}",
            ABOVE,
        )
    return verdict("nothing found", told + also, CLEAR)


def _rank(scores: Scores) -> tuple[float, float]:
    share = scores["exposed.items"]
    return (-1.0 if share.low is None else share.low, share.value or 0.0)


def _found(outcomes: Mapping[str, Scores]) -> str:
    """Return which detectors found copies, and how; empty where none did."""
    named = []
    for name, scores in outcomes.items():
        share, exact = scores["exposed.items"], int(scores["exposed.verbatim"].value or 0)
        low, high = share.low or 0.0, share.high or 0.0
        if low > 0:
            named.append(f"{name}: {percent(low)} to {percent(high)} of all")
        elif exact:
            named.append(f"{name}: {exact} nearly identical{' in a part' * name.startswith(LOCAL)}")
    return "; ".join(named)


def _copies(suspects: int, striking: int, samples: int) -> str:
    certain, more = f"{striking} of {samples} synthetic images", suspects - striking
    if not striking:
        look = "looks" if suspects == 1 else "look"
        return f"{suspects} of {samples} synthetic images {look} like one particular training patient"
    certain += " is a near-certain copy" if striking == 1 else " are near-certain copies"
    return f"{certain}, and {more} more may be" if more else certain


def _look(striking: int) -> str:
    images = "1 synthetic image is" if striking == 1 else f"{striking} synthetic images are"
    return (
        f"{images} far more like one training image than any is like a held-out one, which is too few for a share of "
        "copies; look at the first suspects in report.html"
    )


def _blind(seen: float, high: float) -> str:
    return (
        f"no copies are certain, but only copies from {percent(seen)} of the synthetic images on would have been "
        f"seen, and up to {percent(high)} may be copies: give more synthetic images, or more held-out patients"
    )


def _unsaid(outcomes: Mapping[str, Scores]) -> str:
    """Return why the share of copies is not known, where copies were found and no detector could tell their share."""
    shares = [scores["exposed.items"] for scores in outcomes.values()]
    if any(share.value is not None for share in shares):
        return ""
    return f"; how many more there are, nobody can tell: {_plain(shares[0].reason)}"


def _plain(reason: str) -> str:
    return reason.removeprefix("cannot tell: ").removeprefix("refused: ")


def _why_not(outcomes: Mapping[str, Scores], seen: Score, unread: int, missing: int, unlike: str) -> str:
    """Return why nothing found would mean nothing; empty where it means something."""
    for name, scores in outcomes.items():
        if scores["exposed.items"].value is None:
            return f"{name}: {_plain(scores['exposed.items'].reason)}"
        recall = scores["detector.recall.exact"].value
        if recall is None or recall < SEEN_EXACTLY:
            return (
                f"{name} found only {percent(recall or 0, 0)} of exact copies that were planted, so it sees too little "
                "here"
            )
    if seen.value is None:
        return f"nothing was found, and nothing could have been: {seen.reason}"
    if unlike:
        return f"nothing was found, but {unlike}"
    if missing:
        return (
            f"nothing was found, but {missing} training images were left out, and copies of them would not be seen: "
            "repair them, or take out of the folder what was not trained on"
        )
    if unread:
        return (
            f"nothing was found, but {unread} synthetic files were not compared: withhold.csv lists them; repair or "
            "convert them, or take them out of the folder"
        )
    return ""
