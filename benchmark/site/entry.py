"""One row of a board with all that its pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from benchmark.core.files import content_key
from benchmark.core.percent import percent
from benchmark.evaluation.run_headline import headline
from benchmark.records.board_rows import Peers, Row, rows_of
from benchmark.records.columns import (
    ABSENT,
    FURTHER,
    FURTHER_QUALITY,
    LINES,
    PROMPTS,
    QUALITY,
    UNLIKE,
    Line,
    number,
    with_interval,
)
from benchmark.records.leaderboard import CONTROLS, HEADLINE, Place, cells_of, placed
from benchmark.records.ranges import limits_of
from benchmark.records.record import Record, ScoreEntry
from benchmark.site.standing import Standing, joined, key_of

PATIENTS, SHARE = LINES[0], LINES[1]
FRECHET, FLOOR = (replace(line, digits=1) for line in QUALITY[:2])
"""In hundreds, with intervals of tens: further digits say nothing."""
CONTROL = LINES[2]
"""The exposed share of held-out patients' own images, as if they were synthetic."""


LINE = {line.id.partition("[")[0]: line for line in (*LINES, *QUALITY, *PROMPTS, *FURTHER, *FURTHER_QUALITY)}
UNKNOWN = Line("", "", "")


def line_of(score: str) -> Line:
    """Return heading and digits of a score; of one that is not listed, three digits."""
    return LINE.get(score.partition("[")[0], UNKNOWN)


@dataclass(frozen=True)
class Answer:
    """What a row says about copies, in two words and a sentence."""

    look: str
    """`hold`, `unsure` or `none`: how it is drawn; the words carry the meaning."""
    words: str
    sentence: str


ANSWERS = {
    "HOLD": ("hold", "copies shown"),
    "REFUSED": ("unsure", "refused"),
    "CANNOT TELL": ("unsure", "cannot tell"),
    "NOT SCORED": ("unsure", "not scored"),
    "NOTHING FOUND": ("none", "none shown"),
}
"""Kinds of `evaluation.run_headline.headline`, the worst first: a row of several seeds has the worst of them."""


def answer_of(row: Row) -> Answer:
    """Return the worst answer of a row's seeds, with its sentence."""
    kinds = list(ANSWERS)
    sentences = [headline(record).partition(": ") for record in row.records]
    kind, _, sentence = min(sentences, key=lambda parts: kinds.index(parts[0]))
    return Answer(*ANSWERS[kind], sentence=sentence)


def tells(row: Row) -> bool:
    """Return whether a row answers the question: one that does not has no rank, however small its number is."""
    return answer_of(row).look != "unsure"


@dataclass(frozen=True)
class Entry:
    """A row, its place on the board, and what its pages are named after."""

    id: str
    """A digest of configuration and cohort: the same page after more seeds, and never a name from a record."""
    row: Row
    rank: int | str
    """A number, `control`, or empty."""
    cells: Mapping[str, str]
    """As in the table of the board (`records.leaderboard.cells_of`)."""
    standing: Standing = field(default_factory=Standing)
    possible: str = ""
    """The best and the worst rank that the paired differences leave open, as `1 to 3`."""

    @property
    def record(self) -> Record:
        """The run of the smallest seed."""
        return self.row.first

    @property
    def model(self) -> str:
        """The model's name, as the record says it."""
        return self.record.spec.model

    @cached_property
    def configuration(self) -> tuple[str, ...]:
        """What versions, protocols and splits of one configuration have in common; each row is compared with many."""
        spec = self.record.spec
        return spec.model, spec.preset, content_key(spec.settings), spec.data, self.record.cohort.name

    @property
    def is_ranked(self) -> bool:
        """Whether it has a rank."""
        return isinstance(self.rank, int)

    @property
    def title(self) -> str:
        """Model, preset and the settings that differ."""
        settings = self.cells.get("settings", "")
        return f"{self.model}, {self.record.spec.preset}" + (f" ({settings})" if settings else "")

    @property
    def is_control(self) -> bool:
        """Whether the row checks the board."""
        return self.model in CONTROLS

    @property
    def is_done(self) -> bool:
        """Whether there are any scores."""
        return self.record.status == "done"

    @cached_property
    def answer(self) -> Answer:
        """The worst answer of all seeds, with its sentence."""
        return answer_of(self.row)

    @cached_property
    def share(self) -> ScoreEntry | None:
        """The exposed share over seeds."""
        return self.row.entry(HEADLINE, SHARE.limits)

    @cached_property
    def quality(self) -> ScoreEntry | None:
        """The Frechet distance over seeds."""
        return self.row.entry(FRECHET.id, FRECHET.limits)

    @cached_property
    def scores(self) -> dict[str, ScoreEntry]:
        """Every score that any of its records has, over seeds."""
        names = dict.fromkeys(name for record in self.row.records for name in record.scores)
        scores = {name: self.row.entry(name, limits_of(name)) for name in names}
        return {name: score for name, score in scores.items() if score is not None}

    @property
    def detectable(self) -> float | None:
        """The smallest exposed share that this cohort and so many samples show with 95 % power."""
        return self.row.value("detectable.share")

    def score(self, line: Line) -> ScoreEntry | None:
        """Return a line of the copy detector over seeds."""
        return self.row.entry(f"{line.id}[copy]", line.limits)


def entries_of(board: Sequence[str], records: Sequence[Record], standings: Mapping[str, Standing]) -> list[Entry]:
    """Return the rows of one board, best rank first, then controls, rows without a rank, and withdrawn rows.

    Args:
        board: cohort name, cohort key and rules: what makes a page's name differ from that of another board.
        records: of this board only.
        standings: by `standing.key_of`; records without one stand, and nobody has checked them.
    """
    peers = Peers(tuple(rows_of(records)))
    standing = {id(row): joined(_standing(record, standings) for record in row.records) for row in peers.rows}
    standing_rows = [row for row in peers.rows if not standing[id(row)].retracted]
    withdrawn = [row for row in peers.rows if standing[id(row)].retracted]
    places = [*placed(standing_rows, tells), *(Place("withdrawn", row) for row in withdrawn)]
    seen: dict[str, int] = {}
    return [
        Entry(_page_id(board, row, seen), row, rank, cells_of(row, peers), standing[id(row)], possible)
        for rank, row, possible in places
    ]


def _standing(record: Record, standings: Mapping[str, Standing]) -> Standing:
    return standings.get(key_of(record), Standing()) if standings else Standing()


def _page_id(board: Sequence[str], row: Row, seen: dict[str, int]) -> str:
    spec = row.first.spec.model_dump(mode="json", exclude={"seed", "changed"})
    own = content_key(list(board), spec, row.first.status)
    seen[own] = seen.get(own, 0) + 1
    return own if seen[own] == 1 else content_key(own, seen[own])


def could_show(entry: Entry) -> str:
    """Return the smallest exposed share that would have been seen, or that nothing would have been."""
    if entry.detectable is not None:
        return percent(entry.detectable)
    known = all("detectable.share" in record.scores for record in entry.row.records)
    return "nothing" if known else ABSENT


def value_of(score: ScoreEntry | None, line: Line) -> str:
    """Return the number without its interval, or why there is none."""
    if score is None or score.value is None:
        return with_interval(score, line.digits)
    return number(score.value, line.digits)


def interval_of(score: ScoreEntry | None, line: Line) -> str:
    """Return `0.061 to 0.148`, or nothing."""
    if score is None or score.value is None or score.low is None or score.high is None:
        return ""
    return f"{number(score.low, line.digits)} to {number(score.high, line.digits)}"


def unlike(entry: Entry) -> bool:
    """Return whether the samples were noted to look like no training image."""
    return any(record.scores[UNLIKE.id].reason for record in entry.row.records if UNLIKE.id in record.scores)


COSTS = {
    "fit_seconds": "training", "sample_seconds": "sampling", "evaluate_seconds": "evaluation",
    "peak_bytes": "peak memory", "parameters": "parameters", "fit_joules": "energy of training",
    "sample_joules": "energy of sampling",
}  # fmt: skip


def cost_text(name: str, value: float) -> str:
    """Return a cost with its unit: `12 s`, `3.4 min`, `1.2 GiB`, `4.1 million`, `30 kJ`."""
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return f"{value / 2**30:.2f} GiB"
    if name.endswith("_joules"):
        return f"{value / 1000:.1f} kJ"
    return f"{value / 1e6:.2f} million" if value >= 1e6 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return `12 s`, `3.4 min`, `2.1 h` or `1.5 days`."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def device_of(record: Record) -> str:
    """Return the device that the record names."""
    device: Any = record.environment.get("device", "")
    return device if isinstance(device, str) else ""
