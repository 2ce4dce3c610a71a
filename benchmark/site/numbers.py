"""All numbers of a row: for its page as lines, and for programs as a table of one line per score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY, Line, detectors_of, number
from benchmark.records.record import ScoreEntry
from benchmark.site.entry import Entry
from benchmark.site.metrics import Glossary, Metric

if TYPE_CHECKING:
    import pandas as pd

LINE = {line.id.partition("[")[0]: line for line in (*LINES, *QUALITY, *PROMPTS, *FURTHER, *FURTHER_QUALITY)}
UNKNOWN = Line("", "", "", limits=(-math.inf, math.inf))
"""Of a score whose limits nobody has written down: its interval over seeds ends nowhere."""
OTHERS = "Others"
BETTER = {"lower": "lower", "higher": "higher", "none": ""}


@dataclass(frozen=True)
class ScoreLine:
    """One score of a row."""

    name: str
    metric: Metric | None
    value: str
    interval: str
    n: str
    better: str
    reason: str
    seeds: str
    """The value of each seed, where there are several."""


def lines_of(entry: Entry, glossary: Glossary) -> dict[str, dict[str, list[ScoreLine]]]:
    """Return all scores of a row by section of the document and by detector (or empty)."""
    groups: dict[str, dict[str, list[ScoreLine]]] = {section: {} for section in (*glossary.sections(), OTHERS)}
    detectors = set(detectors_of(entry.record))
    for name in _names(entry):
        metric = glossary.find(name)
        section = metric.definition.section if metric else OTHERS
        inside = name.partition("[")[2].rstrip("]")
        detector = inside if inside in detectors else ""
        groups[section].setdefault(detector, []).append(_line(entry, name, metric))
    return {section: by_detector for section, by_detector in groups.items() if by_detector}


def _names(entry: Entry) -> list[str]:
    return list(dict.fromkeys(name for record in entry.row.records for name in record.scores))


def _score(entry: Entry, name: str) -> ScoreEntry:
    score = entry.row.entry(name, LINE.get(name.partition("[")[0], UNKNOWN).limits)
    assert score is not None  # the name is of one of the row's records
    return score


def _line(entry: Entry, name: str, metric: Metric | None) -> ScoreLine:
    score = _score(entry, name)
    digits = LINE.get(name.partition("[")[0], UNKNOWN).digits
    ends = (score.low, score.high) if score.value is not None else (None, None)
    return ScoreLine(
        name=name,
        metric=metric,
        value="none" if score.value is None else number(score.value, digits),
        interval=""
        if ends[0] is None or ends[1] is None
        else f"{number(ends[0], digits)} to {number(ends[1], digits)}",
        n="" if score.n is None else f"{score.n:,}",
        better=BETTER[score.direction],
        reason=score.reason,
        seeds=_of_seeds(entry, name, digits),
    )


def _of_seeds(entry: Entry, name: str, digits: int) -> str:
    if len(entry.row.records) < 2:
        return ""
    scores = [record.scores.get(name) for record in entry.row.records]
    return ", ".join("none" if one is None or one.value is None else number(one.value, digits) for one in scores)


def long_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return one line per row and score, numbers as numbers: what a program wants.

    Columns: row (the name of its page), rank, model, preset, settings, seeds, status, answer, score, value, low, high,
    n, better, reason. A row without scores has one line with its reason.
    """
    import pandas as pd

    lines = [line for entry in entries for line in _long_lines(entry)]
    table = pd.DataFrame(lines, columns=list(LONG))
    return table.astype(dict.fromkeys(("value", "low", "high"), "float64") | {"n": "Int64"})


LONG = (
    "row", "rank", "model", "preset", "settings", "seeds", "status", "answer", "score", "value", "low", "high", "n",
    "better", "reason",
)  # fmt: skip


def _long_lines(entry: Entry) -> list[tuple[object, ...]]:
    spec = entry.record.spec
    seeds = ",".join(map(str, entry.row.seeds))
    start = (
        entry.id, str(entry.rank), spec.model, spec.preset, entry.cells.get("settings", ""), seeds,
        entry.record.status, entry.answer.words,
    )  # fmt: skip
    names = _names(entry)
    if not names:
        return [(*start, "", None, None, None, None, "", entry.record.reason)]
    scores = {name: _score(entry, name) for name in names}
    return [
        (*start, name, one.value, one.low, one.high, one.n, BETTER[one.direction], one.reason)
        for name, one in scores.items()
    ]
