"""All numbers of a row: for its page as lines, and for programs as a table of one line per score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from benchmark.records import escaping
from benchmark.records.columns import detectors_of, number
from benchmark.records.record import ScoreEntry
from benchmark.site.entry import Entry, line_of
from benchmark.site.metrics import Glossary, Metric

if TYPE_CHECKING:
    import pandas as pd

OTHERS = "Others"
BETTER = {"lower": "lower", "higher": "higher", "none": ""}


class ScoreLine(NamedTuple):
    """One score of a row, as text."""

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
    groups: dict[str, dict[str, list[ScoreLine]]] = {section: {} for section in (*glossary.sections, OTHERS)}
    detectors = set(detectors_of(entry.record))
    for name, score in entry.scores.items():
        metric = glossary.find(name)
        section = metric.definition.section if metric else OTHERS
        inside = name.partition("[")[2].rstrip("]")
        detector = inside if inside in detectors else ""
        groups[section].setdefault(detector, []).append(_line(entry, name, score, metric))
    return {section: by_detector for section, by_detector in groups.items() if by_detector}


def score_rows(lines: Sequence[ScoreLine]) -> Markup:
    """Return the rows of a table of scores as HTML.

    A board of 1,000 rows has 200,000 of these: a template would take twice as long. Names and reasons come from records
    and are escaped; everything else is a number that was formatted here, or a word of ours.
    """
    return Markup("".join(_score_row(one) for one in lines))  # noqa: S704  # see above


def _score_row(one: ScoreLine) -> str:
    neutral = one.metric.neutral if one.metric else ""
    seeds = f'<td class="nobreak">{one.seeds}</td>' if one.seeds else ""
    return (
        f'<tr><th scope="row">{_linked(one.name, one.metric)}</th><td class="number">{one.value}</td>'
        f'<td class="number nobreak">{one.interval}</td><td class="number">{one.n}</td><td>{one.better}</td>'
        f"<td>{neutral}</td>{seeds}<td>{escaping.html(one.reason) if one.reason else ''}</td></tr>\n"
    )


@lru_cache(maxsize=4096)
def _linked(name: str, metric: Metric | None) -> Markup:
    shown = Markup("<code>{}</code>").format(escaping.html(name))
    return Markup('<a href="../metrics/{}.html">{}</a>').format(metric.page, shown) if metric else shown


def _line(entry: Entry, name: str, score: ScoreEntry, metric: Metric | None) -> ScoreLine:
    digits = line_of(name).digits
    interval = ""
    if score.value is not None and score.low is not None and score.high is not None:
        interval = f"{number(score.low, digits)} to {number(score.high, digits)}"
    value = "none" if score.value is None else number(score.value, digits)
    n = "" if score.n is None else f"{score.n:,}"
    better = BETTER[score.direction]
    return ScoreLine(name, metric, value, interval, n, better, score.reason, _of_seeds(entry, name, digits))


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
    if not entry.scores:
        return [(*start, "", None, None, None, None, "", entry.record.reason)]
    return [
        (*start, name, one.value, one.low, one.high, one.n, BETTER[one.direction], one.reason)
        for name, one in entry.scores.items()
    ]
