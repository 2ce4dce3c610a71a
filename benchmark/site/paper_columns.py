"""The columns of a table for a paper: named fields, costs, and every score by its id, as a board's pages show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.core.errors import UsageError
from benchmark.core.options import suggest
from benchmark.records.board_rows import Row
from benchmark.records.columns import LINES, PROMPTS, QUALITY, UNLIKE, Line, number
from benchmark.records.leaderboard import HEADLINE, POSSIBLE, headings, score_cell
from benchmark.records.ranges import limits_of
from benchmark.site.board import Board
from benchmark.site.columns import version_of
from benchmark.site.entry import (
    COSTS,
    FRECHET,
    Entry,
    cost_text,
    could_show,
    device_of,
    interval_of,
    line_of,
    unlike,
    value_of,
)

NONE = "-"
"""The cell of what a row does not have: never empty, never 0."""


@dataclass(frozen=True)
class Cell:
    """A text, and what a reader has to know with it."""

    text: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column, and how a row's cell is read."""

    heading: str
    read: Callable[[Entry], Cell]
    score: str = ""
    """The id of its score; empty for a field."""
    is_number: bool = False


def state_of(one: Entry) -> str:
    """Return `retracted`, `failed` or `declined` for a row without numbers; for any other nothing."""
    return "retracted" if one.standing.retracted else "" if one.is_done else one.record.status


def answer_cell(one: Entry) -> str:
    """Return the answer in two words; of a row without numbers its state."""
    return state_of(one) or one.answer.words


def _headline_n(one: Entry) -> str:
    return NONE if one.share is None or one.share.n is None or state_of(one) else str(one.share.n)


FIELDS: dict[str, tuple[str, Callable[[Entry], str]]] = {
    "rank": ("rank", lambda one: str(one.rank)),
    "possible": (POSSIBLE, lambda one: one.possible),
    "model": ("model", lambda one: one.model),
    "preset": ("preset", lambda one: one.record.spec.preset),
    "settings": ("settings", lambda one: one.cells.get("settings", "")),
    "seeds": ("seeds", lambda one: one.cells.get("seeds", "")),
    "answer": ("answer", answer_cell),
    "could_show": ("could show", lambda one: NONE if state_of(one) else could_show(one)),
    "n": ("n", _headline_n),
    "train": ("train items", lambda one: one.cells.get("train items", "")),
    "samples": ("samples", lambda one: one.cells.get("samples", "")),
    "device": ("device", lambda one: device_of(one.record)),
    "version": ("version", version_of),
}
"""Id -> heading, and the cell of a row."""
NUMBERS = ("rank", "could_show", "n", "train", "samples")
PARTS = ("value", "interval", "low", "high", "n")
"""What may follow the id of a score after a colon."""
DEFAULT = (
    "rank", "model", "preset", "settings", "seeds", "answer", "exposed.patients[copy]", HEADLINE, "could_show",
    FRECHET.id, "fit_seconds",
)  # fmt: skip
"""What a board's page has from the start."""
ALWAYS = tuple(name for name in DEFAULT if name not in FIELDS and name not in COSTS)
"""Scores that a table can have where no row does: on a board of failed runs alone."""
OUTSIDE_BRACKETS = re.compile(r",(?![^\[\]]*\])")
NAMED = {line.id: heading for lines in (LINES, QUALITY, PROMPTS) for heading, line in headings(lines).items()}


def columns_of(board: Board, asked: str | None) -> list[Column]:
    """Return the columns that were asked for, or those of `DEFAULT` in which any row has something.

    Args:
        board: the ids of its scores are known.
        asked: ids with commas between them; nothing for the default.

    Raises UsageError naming the first id that is not known, one that several detectors have, or one given twice.
    """
    scores = dict.fromkeys(name for one in board.entries for name in one.scores)
    if asked is None:
        every = [_column(name, scores) for name in DEFAULT]
        return [one for one in every if any(one.read(row).text not in ("", NONE) for row in board.entries)]
    names = [name.strip() for name in OUTSIDE_BRACKETS.split(asked)]
    columns = [_column(name, scores) for name in names]
    shown = [column.heading for column in columns]
    if twice := next((name for name, heading in zip(names, shown, strict=True) if shown.count(heading) > 1), None):
        raise UsageError(f"--columns has {twice!r} twice", "give it once")
    return columns


def _column(name: str, scores: Mapping[str, object]) -> Column:
    if name in FIELDS:
        heading, read = FIELDS[name]
        return Column(heading, lambda one: Cell(read(one) or NONE), is_number=name in NUMBERS)
    if name in COSTS:
        return Column(COSTS[name], lambda one: Cell(_cost(one, name)), is_number=True)
    bare, _, part = name.rpartition(":")
    wanted, part = (bare, part) if part in PARTS and bare else (name, "")
    score = _score_id(name, wanted, scores)
    heading = heading_of(score)
    return Column(
        f"{heading}: {part}" if part else heading, lambda one: _cell(one, score, part), score=score, is_number=True
    )


def _cost(one: Entry, name: str) -> str:
    return cost_text(name, one.row.cost[name]) if name in one.row.cost else NONE


def _score_id(asked: str, name: str, scores: Mapping[str, object]) -> str:
    """Return the whole id of a score: without `[detector]`, that of the detector `copy`, or the only one there is."""
    if name in scores or name in ALWAYS:
        return name
    whole = [one for one in scores if one.partition("[")[0] == name]
    chosen = next((one for one in (*whole, *ALWAYS) if one == f"{name}[copy]"), None)
    if chosen or len(whole) == 1:
        return chosen or whole[0]
    if whole:
        raise UsageError(f"--columns {asked!r} is the name of {len(whole)} scores", f"choose {' or '.join(whole)}")
    known = dict.fromkeys([*FIELDS, *COSTS, *(one.partition("[")[0] for one in scores)])
    raise UsageError(
        f"there is no column {asked!r} on this board",
        f"{suggest(name.partition('[')[0], known)}its columns are {', '.join(known)}; after the id of a score "
        f"there may be {', '.join(f':{part}' for part in PARTS)}",
    )


def heading_of(score: str) -> str:
    """Return a score's heading, with the detector where that is not `copy`; without a heading, its id."""
    bare, _, inside = score.partition("[")
    if score in NAMED or bare not in NAMED:
        return NAMED.get(score, score)
    detector = inside.removesuffix("]")
    return NAMED[bare] if detector == "copy" else f"{NAMED[bare]} [{detector}]"


def line_for(score: str) -> Line:
    """Return digits and limits of a score's whole id."""
    return replace(line_of(score), id=score)


def _cell(one: Entry, score: str, part: str) -> Cell:
    remarks = remarks_of(one, score)
    if state := state_of(one):
        return Cell(state, remarks)
    line, entry = line_for(score), one.row.entry(score, limits_of(score))
    ends = {} if entry is None else {"low": entry.low, "high": entry.high}
    if part in ends:
        end = ends[part]
        return Cell(NONE if end is None else number(end, line.digits), remarks)
    if part == "n":
        return Cell(NONE if entry is None or entry.n is None else str(entry.n))
    if part == "interval":
        return Cell(interval_of(entry, line) or NONE, remarks)
    text = value_of(entry, line) if part == "value" else score_cell(one.row, score, line)
    # A reader of this cell alone would take it for an all-clear.
    return Cell(f"{text} ({UNLIKE.heading})" if _is_exposure(score) and unlike(one) else text, remarks)


def _is_exposure(score: str) -> bool:
    return score.startswith("exposed.") and not score.startswith("exposed.control")


def remarks_of(one: Entry, score: str) -> tuple[str, ...]:
    """Return what weakens or replaces the number of a row, in sentences: each is told with the number or not at all."""
    if one.standing.retracted:
        return (f"retracted: {one.standing.retracted}",)
    if not one.is_done:
        return (f"{one.record.status}: {one.record.reason}",)
    remarks, entry = reasons_of(one.row, score), one.row.entry(score, limits_of(score))
    has_number = entry is not None and entry.value is not None
    if has_number and _is_exposure(score) and one.answer.look == "unsure":
        remarks.append(f"{one.answer.words}: {one.answer.sentence}")
    if one.standing.receipt == "differs":
        remarks.append("the receipt of this row gives other numbers")
    return tuple(dict.fromkeys(remarks))


def reasons_of(row: Row, score: str) -> list[str]:
    """Return the reasons that the records give for a score, with their seeds where there are several."""
    reasons: dict[str, list[str]] = {}
    for record in row.records:
        entry = record.scores.get(score)
        if entry is not None and entry.reason:
            reasons.setdefault(entry.reason, []).append(str(record.spec.seed))
    return [_with_seeds(reason, seeds, len(row.records)) for reason, seeds in reasons.items()]


def _with_seeds(reason: str, seeds: Sequence[str], of: int) -> str:
    return reason if of == len(seeds) else f"{reason} (seed {', '.join(seeds)})"
