"""What the report says about its own numbers: headline, formats, what was missed, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.evaluation.report.texts import (
    DETECTORS,
    DIGITS,
    FIXED_LIMITS,
    HEADLINES,
    MEANINGS,
    MISSED,
    PLANTED,
    RECALL_HEADLINE,
    UNIT,
    WEAK,
)
from benchmark.evaluation.verdict import CLEAR
from benchmark.images.planted_copies import CLAIMED_AS
from benchmark.records.columns import RECALL, REFUSALS, number

if TYPE_CHECKING:
    from benchmark.core.types import Score
    from benchmark.evaluation.report.data import Detector, ReportInput


def detector_name(name: str) -> str:
    """Return a detector's name in words, with what it transforms."""
    base, _, options = name.partition(":")
    words = DETECTORS.get(base, base)
    _, _, transforms = options.partition("transforms=")
    return f"{words} ({transforms.replace(',', ', ')})" if transforms else words


def breakable(name: str) -> str:
    """Return a detector's name that may be broken after a colon, a comma or an equals sign, and nowhere else."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([:,=])", r"\1<wbr>", str(escape(name))))  # noqa: S704  # escaped before


def plain(text: str, detectors: tuple[Detector, ...]) -> str:
    """Return a sentence with the detectors' names in words, without what they transform, and % kept on its line."""
    for one in sorted(detectors, key=lambda detector: -len(detector.name)):
        base = one.name.partition(":")[0]
        words = DETECTORS.get(base, base)
        start = text.startswith(one.name)
        text = text.replace(one.name, words if start else words[0].lower() + words[1:])
    return text.replace(" %", UNIT)


def headline(report: ReportInput) -> str:
    """Return the verdict in a few words."""
    return WEAK.get(report.verdict.exit_code, HEADLINES[report.verdict.kind])


def look(report: ReportInput) -> str:
    """Return how the verdict is drawn: `hold`, `unsure`, or `clear` for nothing found that means something."""
    if report.verdict.kind == "hold":
        return "hold"
    return "clear" if report.verdict.exit_code == CLEAR and report.verdict.kind == "nothing found" else "unsure"


def percent(value: float, digits: int = 1) -> str:
    """Return `7.4 %`; a value just below 1 never reads 100 %, one just above 0 never reads 0 %."""
    scaled, least = 100 * value, 10.0**-digits
    if 0 < scaled < least / 2:
        return f"under {least:.{digits}f}{UNIT}"
    if 100 - least / 2 <= scaled < 100:
        return f"over {100 - least:.{digits}f}{UNIT}"
    return f"{scaled:.{digits}f}{UNIT}"


def share_text(score: Score, digits: int = 1) -> str:
    """Return `7.4 % (4.5 % to 8.0 %)`, or `not scored`."""
    if score.value is None:
        return "not scored"
    if score.low is None or score.high is None:
        return percent(score.value, digits)
    return f"{percent(score.value, digits)} ({percent(score.low, digits)} to {percent(score.high, digits)})"


def count_text(score: Score) -> str:
    """Return `14 (9 to 15)`, or `not scored`."""
    if score.value is None:
        return "not scored"
    if score.low is None or score.high is None:
        return f"{score.value:.0f}"
    return f"{score.value:.0f} ({score.low:.0f} to {score.high:.0f})"


def planted_names(detectors: tuple[Detector, ...]) -> list[str]:
    """Return all planted copies of a page: those that were measured, and those that could have been."""
    measured = {name[len(RECALL) :] for one in detectors for name in one.scores if name.startswith(RECALL)}
    known = [name for name in PLANTED if name in measured or name in CLAIMED_AS]
    return known + sorted(measured - set(PLANTED))


def planted_measured(detectors: tuple[Detector, ...]) -> bool:
    """Tell whether any detector was tested with planted copies."""
    return any(name.startswith((RECALL, RECALL_HEADLINE)) for one in detectors for name in one.scores)


def best_recall(name: str, detectors: tuple[Detector, ...]) -> float | None:
    """Return the greatest share of one kind of planted copy that any detector counts in the verdict."""
    scores = [one.scores.get(RECALL_HEADLINE + name) for one in detectors]
    values = [score.value for score in scores if score is not None and score.value is not None]
    return max(values, default=None)


def limits(report: ReportInput) -> list[str]:
    """Return what the audit cannot say, what is special to this one first."""
    return [*_unread(report), *_power(report), *_unscored(report), *_missed(report), *FIXED_LIMITS]


def _unread(report: ReportInput) -> list[str]:
    count = len(report.not_compared)
    if not count:
        return []
    return [
        f"{count} synthetic {'file' if count == 1 else 'files'} could not be read and not be compared: withhold them."
    ]


def _power(report: ReportInput) -> list[str]:
    share = report.possible.get("detectable.share")
    if share is not None and share.value is not None:
        return [f"A share of copies below {percent(share.value)} may stay unseen in an audit of this size."]
    return [f"No share of copies was certain to be seen: {share.reason}." if share else "The power was not computed."]


def _unscored(report: ReportInput) -> list[str]:
    refused = ((one.name, one.scores["exposed.items"]) for one in report.detectors if "exposed.items" in one.scores)
    return [f"{detector_name(name)}: {score.reason}." for name, score in refused if score.value is None]


def _missed(report: ReportInput) -> list[str]:
    recalls = {name: best_recall(name, report.detectors) for name in planted_names(report.detectors)}
    missed = [
        PLANTED.get(name, name).lower() for name, value in recalls.items() if value is not None and value < MISSED
    ]
    untested = [PLANTED.get(name, name).lower() for name, value in recalls.items() if value is None]
    if not planted_measured(report.detectors):
        return ["No copies were planted, so nobody knows which altered copies this audit would have found."]
    lines = []
    if missed:
        lines.append(f"No detector counts half of the copies that were altered like this: {'; '.join(missed)}.")
    if untested:
        lines.append(f"This audit did not measure whether it would find: {'; '.join(untested)}.")
    return lines


def score_rows(scores: Mapping[str, Score]) -> list[tuple[str, str, Score]]:
    """Return id, meaning and score of everything that a detector measured, but planted copies."""
    planted = (RECALL, RECALL_HEADLINE)
    return [(name, meaning(name), score) for name, score in scores.items() if not name.startswith(planted)]


def score_text(name: str, score: Score) -> str:
    """Return a score as boards show it: `0.074 [0.045, 0.080]`, `14 [9, 15]`, or why there is none."""
    if score.value is None:
        start = score.reason.partition(":")[0]
        return start if start in REFUSALS else "not scored"
    digits = DIGITS.get(name, 3)
    if score.low is None or score.high is None:
        return number(score.value, digits)
    return f"{number(score.value, digits)} [{number(score.low, digits)}, {number(score.high, digits)}]"


def meaning(name: str) -> str:
    """Return what a score is; that of a relative (`growth.times100` of `growth.times10`) where it has none itself."""
    if name in MEANINGS:
        return MEANINGS[name]
    near = [given for given in MEANINGS if given.rpartition(".")[0] == name.rpartition(".")[0]]
    longest = max(near, key=lambda given: len(_common(given, name)), default="")
    return f"see {longest}" if longest and name.startswith(("growth.", "published.")) else ""


def _common(first: str, second: str) -> str:
    return next((first[:end] for end in range(len(first), 0, -1) if second.startswith(first[:end])), "")
