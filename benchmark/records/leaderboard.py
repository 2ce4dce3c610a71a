"""From records to boards: one per cohort and protocol, ranked with ties, as Markdown and CSV."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.core.files import atomic_write
from benchmark.core.percent import percent
from benchmark.records.board_rows import Peers, Row, rows_of, settings_text
from benchmark.records.columns import (
    ABSENT,
    AUTOENCODER,
    LINES,
    PROMPTS,
    QUALITY,
    UNLIKE,
    Line,
    recall_text,
    with_interval,
)
from benchmark.records.escaping import csv, markdown
from benchmark.records.public_notes import public_note
from benchmark.records.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

HEADLINE = "exposed.items[copy]"
POSSIBLE = "possible ranks"
CONTROLS = {
    "copycat": "Positive control: a known share of its samples are training images. The detector must see them.",
    "gaussian": "Baseline: a normal distribution of few principal components, fitted to patients. It holds no image.",
}
"""Models that check a board; they have no rank."""


def boards(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Group by (cohort name, cohort key, protocol): one table never mixes different patients or rules.

    Custom records of another split than the protocol's have it in place of the protocol, such as `custom-official`.
    """
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.cohort.name, record.cohort.key, _rules(record)].append(record)
    return dict(sorted(groups.items()))


def _rules(record: Record) -> str:
    split = [] if record.spec.split == "patients" else [record.spec.split]
    seed = [f"split{record.spec.split_seed}"] if record.spec.split_seed else []
    return "-".join([record.protocol, *split, *seed])


def ranks(rows: Sequence[Row]) -> list[int]:
    """Rank by exposed share, lowest first: 1 + how many rows are lower beyond doubt.

    Two rows differ when the 95 % interval of their difference does not hold 0. All models of a cohort are evaluated
    with the same weights of patients (`metrics.replicates`), so that the difference is taken replicate by replicate:
    its error is far smaller than that of either row. To it comes the spread between the seeds of both rows, as in
    `board_rows`. A row is below another only if the other is shown to copy at all (its lower end is above 0).
    """
    return [best for best, _ in rank_intervals(rows)]


def rank_intervals(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return the best and the worst rank of each row that the paired differences leave open.

    The best is 1 + the rows that are lower beyond doubt, which is the rank of `ranks`; the worst leaves out the rows
    that are higher beyond doubt. Rows whose intervals are the same cannot be told apart from each other.
    """
    drawn = [row.replicates(HEADLINE) for row in rows]
    spreads = np.array([row.spread(HEADLINE) for row in rows])
    lower, higher = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for length in {len(values) for values in drawn if values is not None}:
        alike = [place for place, values in enumerate(drawn) if values is not None and len(values) == length]
        table = np.array([drawn[place] for place in alike])
        for number, place in enumerate(alike):
            if _is_shown_to_copy(rows[place]):
                below = _are_below(table, number, spreads[alike])
                lower[place] += below.sum()
                higher[alike] += below
    return [(1 + int(below), len(rows) - int(above)) for below, above in zip(lower, higher, strict=True)]


def _any(_: Row) -> bool:
    return True


def rank_text(record: Record, others: Iterable[Record], tells: Callable[[Row], bool] = _any) -> str:
    """Return the rank of a record's row among the records of its board, with the ranks that are possible."""
    (place,) = boards([record])
    rows = placed(rows_of(boards([record, *(one for one in others if one != record)])[place]), tells)
    own = next(one for one in rows if record in one.row.records)
    if not isinstance(own.rank, int):
        return "no rank"
    ranked = sum(isinstance(one.rank, int) for one in rows)
    return f"rank {own.rank} of {ranked} (95 %: {own.possible})"


def _is_shown_to_copy(row: Row) -> bool:
    # Where nothing is copied a share depends on the few samples that chance has put above the first held-out patients,
    # and replicates understate its error: without this, 10 % of pairs of models that copy nobody were told apart
    # (simulated).
    entry = row.entry(HEADLINE, (0.0, 1.0))
    return entry is not None and entry.low is not None and entry.low > 0


def _are_below(drawn: NDArray[np.float64], number: int, spreads: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are below row `number` beyond doubt, (rows,).

    Args:
        drawn: replicates, (rows, draws).
        number: of the row that the others are compared with.
        spreads: half-widths between seeds, (rows,).
    """
    differences = drawn[number] - drawn
    # The lower end can only be above 0 where at most 2.5 % of the differences are not: few pairs need the quantile.
    few = (differences <= 0).sum(axis=1) <= 0.025 * (drawn.shape[1] - 1) + 1
    few[number] = False
    means, lows = differences[few].mean(axis=1), np.quantile(differences[few], 0.025, axis=1)
    errors = np.sqrt((means - lows) ** 2 + spreads[few] ** 2 + spreads[number] ** 2)
    below = np.zeros(len(drawn), bool)
    below[few] = means - errors > 0
    return below


class Place(NamedTuple):
    """A row's place on its board."""

    rank: int | str
    """A number, `control`, or empty."""
    row: Row
    possible: str = ""
    """The best and the worst rank that the paired differences leave open, as `1 to 3`."""


def placed(board: Sequence[Row], tells: Callable[[Row], bool] = _any) -> list[Place]:
    """Return each row with its rank, best first, then controls (`control`) and rows without a rank (empty).

    A control is no competitor: a normal distribution of few components copies nobody and would be first.

    Args:
        board: all of its rows.
        tells: whether a row with a headline answers the question; one that does not has no rank: noise copies nobody.
    """
    # A row of which any seed has no headline has no rank: the first place would read as an all-clear, and the mean of
    # the seeds that were not refused leaves out those that were. Nor has one without replicates: no row is shown to be
    # below it, so that it would be first whatever its value.
    controls = [row for row in board if _is_control(row)]
    models = [(row, _is_complete(row) and tells(row)) for row in board if not _is_control(row)]
    scored = [row for row, has_rank in models if has_rank]
    unscored = sorted((row for row, has_rank in models if not has_rank), key=lambda row: row.first.status != "done")
    intervals = zip(rank_intervals(scored), scored, strict=True)
    places = [Place(best, row, f"{best} to {worst}") for (best, worst), row in intervals]
    places.sort(key=lambda place: (place.rank, place.row.value(HEADLINE)))
    return [*places, *(Place("control", row) for row in controls), *(Place("", row) for row in unscored)]


def _is_control(row: Row) -> bool:
    return row.first.spec.model in CONTROLS and row.first.status == "done"


def _is_complete(row: Row) -> bool:
    return row.complete(HEADLINE) and row.replicates(HEADLINE) is not None


def cells_of(row: Row, board: Peers) -> dict[str, str]:
    """Return one board row as text: what was run, then every line for the copy detector, then pixels' headline.

    A run that was declined or failed has the reason in place of the headline, and no other number.
    """
    record, named = row.first, headings(LINES)
    run = {
        "model": record.spec.model,
        "preset": record.spec.preset,
        "settings": settings_text(row, board),
        "train items": str(record.cohort.items["train"]),
        "samples": str(record.spec.samples),
    }
    seeds = f"{len(row.seeds)} ({', '.join(map(str, row.seeds))})"
    if record.status != "done":
        return {**run, next(iter(named)): f"{record.status}: {record.reason}", "seeds": seeds}
    scored = {heading: score_cell(row, f"{line.id}[copy]", line) for heading, line in named.items()}
    if _is_unlike(row.records):  # a reader of this cell alone would take it for an all-clear
        scored[LINES[1].heading] += f" ({UNLIKE.heading})"
    return {
        **run,
        **scored,
        "planted recall": _recall(row, "copy", board),
        "can show": _shown(row),
        "exposed share [pixels]": score_cell(row, "exposed.items[pixels]", LINES[1]),
        "planted recall [pixels]": _recall(row, "pixels", board),
        **{line.heading: score_cell(row, line.id, line) for line in (QUALITY[0], QUALITY[2])},
        **({line.heading: score_cell(row, line.id, line) for line in PROMPTS} if _has_prompts(row) else {}),
        **({UNLIKE.heading: score_cell(row, UNLIKE.id, UNLIKE)} if _is_unlike(row.records) else {}),
        "seeds": seeds,
        "fit": f"{row.cost['fit_seconds']:.0f} s" if "fit_seconds" in row.cost else ABSENT,
    }


def _has_prompts(row: Row) -> bool:
    return any(line.id in record.scores for record in row.records for line in PROMPTS)


def _is_unlike(records: Iterable[Record]) -> bool:
    """Return whether the samples of a record were noted to look like no training image."""
    return any(record.scores[UNLIKE.id].reason for record in records if UNLIKE.id in record.scores)


def _recall(row: Row, detector: str, board: Peers) -> str:
    """Return the mean recall over the transformations that this detector has anywhere on the board."""
    expected = [name for name in board.transformations.get(detector, ()) if name != AUTOENCODER]
    return recall_text(row.recalls(detector), expected)


def _shown(row: Row) -> str:
    """Return the smallest exposed share that this cohort and so many samples show with 95 % power."""
    share = row.value("detectable.share")
    if share is not None:
        return percent(share)
    return "nothing" if all("detectable.share" in record.scores for record in row.records) else ABSENT


def score_cell(row: Row, score: str, line: Line) -> str:
    """Return a score with its interval; without one, why, and for how many seeds."""
    entry = row.entry(score, line.limits)
    seeds = ""
    if entry is not None and entry.value is None and len(row.records) > 1:
        seeds = f" ({entry.reason.partition(': ')[2]})"
    return with_interval(entry, line.digits) + seeds


def headings(lines: Iterable[Line]) -> dict[str, Line]:
    """Return heading -> line; an indented line takes the name of the line above it."""
    named, above = {}, ""
    for line in lines:
        below = line.heading.startswith(" ")
        named[f"{above}: {line.heading.strip()}" if below else line.heading] = line
        above = above if below else line.heading
    return named


def notes_of(records: list[Record]) -> list[str]:
    """Return the notes below a board: definitions, cohort notes, the missing control."""
    prompts = [line for line in PROMPTS if any(line.id in record.scores for record in records)]
    unlike = [UNLIKE] if _is_unlike(records) else []
    lines = [line for line in (*LINES, *QUALITY, *prompts, *unlike) if not line.heading.startswith(" ")]
    notes = [f"{line.heading}: {line.meaning}." for line in lines]
    notes.append("Can show: the smallest exposed share that these patients and samples show with 95 % power.")
    notes.append("Detector copy, unless another is named. Brackets: 95 % interval over patients and synthetic items.")
    notes.append(
        "Seeds: the trainings that a row averages. With several, the interval includes the spread between them "
        "(Student's t); with one it cannot, and another training may well be outside it."
    )
    notes.append("Settings: those that differ from the preset, or between rows of one preset.")
    notes.append(
        f"{ABSENT.capitalize()}: evaluate that run again (bench evaluate RUN); the seeds that have it are not averaged."
    )
    notes.append("Equal ranks: the rows cannot be told apart on the same draws of patients.")
    notes.append("Possible ranks: those that the paired differences leave open; without a rank, the cell says why.")
    notes += sorted({public_note(note) for record in records for note in record.cohort.notes})
    if not any(record.spec.model == "copycat" for record in records):
        notes.append("No positive control yet: bench run --model copycat --set contamination=0.1 on the same cohort.")
    return notes


def write_table(stem: Path, title: str, subtitle: str, table: pd.DataFrame, notes: list[str]) -> list[Path]:
    """Write a board as STEM.md and STEM.csv, and return their paths."""
    texts = {".md": _markdown(title, subtitle, table, notes), ".csv": csv(table)}
    return [_write(stem.with_name(f"{stem.name}{ending}"), text) for ending, text in texts.items()]


def subtitle_of(record: Record, key: str, protocol: str) -> str:
    """Return protocol, digest, grid and sizes of a record's cohort in one line."""
    cohort = record.cohort
    sizes = ", ".join(f"{name} {cohort.items[name]} items of {cohort.patients[name]} patients" for name in cohort.items)
    return f"protocol {protocol}, cohort {key[:8]}: {' x '.join(map(str, cohort.shape))}, {sizes}"


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _markdown(title: str, subtitle: str, table: pd.DataFrame, notes: list[str]) -> str:
    header, *rows = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    lines = [markdown_row(header), "| " + " | ".join(["---"] * len(header)) + " |", *map(markdown_row, rows)]
    text = [f"# {markdown(title)}", "", markdown(subtitle), "", *lines, "", *(f"- {markdown(note)}" for note in notes)]
    return "\n".join([*text, ""])


def markdown_row(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table, its cells made harmless."""
    return "| " + " | ".join(markdown(cell) for cell in cells) + " |"
