"""From records to boards: one per cohort and protocol, ranked with ties, as Markdown, CSV and HTML."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.files import atomic_write
from benchmark.core.percent import percent
from benchmark.records.board_rows import Row, rows_of, settings_text
from benchmark.records.columns import ABSENT, LINES, PROMPTS, QUALITY, UNLIKE, Line, recall_text, with_interval
from benchmark.records.escaping import csv, html, markdown
from benchmark.records.record import Record

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = "exposed.items[copy]"
POSSIBLE = "possible ranks"


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
    return [1 + sum(_below(other, row) for other in rows if other is not row) for row in rows]


def rank_intervals(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return the best and the worst rank of each row that the paired differences leave open.

    The best is 1 + the rows that are lower beyond doubt, which is the rank of `ranks`; the worst leaves out the rows
    that are higher beyond doubt. Rows whose intervals are the same cannot be told apart from each other.
    """
    lower = [sum(_below(other, row) for other in rows if other is not row) for row in rows]
    higher = [sum(_below(row, other) for other in rows if other is not row) for row in rows]
    return [(1 + below, len(rows) - above) for below, above in zip(lower, higher, strict=True)]


def rank_text(record: Record, others: Iterable[Record]) -> str:
    """Return the rank of a record's row among the records of its board, with the ranks that are possible."""
    (place,) = boards([record])
    board = rows_of(boards([record, *(one for one in others if one != record)])[place])
    row = next(one for one in board if record in one.records)
    scored = _ranked(board)
    if row not in scored:
        return "no rank"
    number = scored.index(row)
    best, worst = rank_intervals(scored)[number]
    return f"rank {ranks(scored)[number]} of {len(scored)} (95 %: {best} to {worst})"


def _ranked(board: Sequence[Row]) -> list[Row]:
    """Return the rows that have a rank.

    A row of which any seed has no headline has none: the first place would read as an all-clear, and the mean of the
    seeds that were not refused leaves out those that were. Nor has one without replicates: no row is shown to be below
    it, so that it would be first whatever its value.
    """
    return [row for row in board if row.complete(HEADLINE) and row.replicates(HEADLINE) is not None]


def _below(first: Row, second: Row) -> bool:
    a, b = first.replicates(HEADLINE), second.replicates(HEADLINE)
    if a is None or b is None or len(a) != len(b):
        return False
    # Where nothing is copied a share depends on the few samples that chance has put above the first held-out patients,
    # and replicates understate its error: without this, 10 % of pairs of models that copy nobody were told apart
    # (simulated).
    exposed = second.entry(HEADLINE, (0.0, 1.0))
    if exposed is None or exposed.low is None or exposed.low <= 0:
        return False
    difference = np.subtract(b, a)
    mean, low = float(difference.mean()), float(np.quantile(difference, 0.025))
    return mean - math.hypot(mean - low, first.spread(HEADLINE), second.spread(HEADLINE)) > 0


def table_of(records: Sequence[Record]) -> pd.DataFrame:
    """Return one board as text, best rank first; runs that differ in their seed alone are one row."""
    import pandas as pd

    board = rows_of(records)
    scored = _ranked(board)
    unscored = [row for row in board if row not in scored]
    unscored.sort(key=lambda row: row.first.status != "done")
    places = zip(ranks(scored), rank_intervals(scored), scored, strict=True)
    ranked = sorted(places, key=lambda place: (place[0], place[2].value(HEADLINE)))
    cells: list[dict[str, object]] = [
        {"rank": rank, POSSIBLE: f"{best} to {worst}", **cells_of(row, board)} for rank, (best, worst), row in ranked
    ]
    return pd.DataFrame(cells + [{"rank": "", POSSIBLE: "", **cells_of(row, board)} for row in unscored]).fillna("")


def cells_of(row: Row, board: Sequence[Row]) -> dict[str, str]:
    """Return one board row as text: what was run, then every line for the copy detector, then pixels' headline.

    A run that was declined or failed has the reason in place of the headline, and no other number.
    """
    record, headings = row.first, _headings()
    run = {
        "model": record.spec.model,
        "preset": record.spec.preset,
        "settings": settings_text(row, board),
        "train items": str(record.cohort.items["train"]),
        "samples": str(record.spec.samples),
    }
    seeds = f"{len(row.seeds)} ({', '.join(map(str, row.seeds))})"
    if record.status != "done":
        return {**run, next(iter(headings)): f"{record.status}: {record.reason}", "seeds": seeds}
    scored = {heading: _cell(row, f"{line.id}[copy]", line) for heading, line in headings.items()}
    if _is_unlike(row.records):  # a reader of this cell alone would take it for an all-clear
        scored[LINES[1].heading] += f" ({UNLIKE.heading})"
    return {
        **run,
        **scored,
        "planted recall": _recall(row, "copy", board),
        "can show": _shown(row),
        "exposed share [pixels]": _cell(row, "exposed.items[pixels]", LINES[1]),
        "planted recall [pixels]": _recall(row, "pixels", board),
        **{line.heading: _cell(row, line.id, line) for line in (QUALITY[0], QUALITY[2])},
        **({line.heading: _cell(row, line.id, line) for line in PROMPTS} if _has_prompts(row) else {}),
        **({UNLIKE.heading: _cell(row, UNLIKE.id, UNLIKE)} if _is_unlike(row.records) else {}),
        "seeds": seeds,
        "fit": f"{row.cost['fit_seconds']:.0f} s" if "fit_seconds" in row.cost else ABSENT,
    }


def _has_prompts(row: Row) -> bool:
    return any(line.id in record.scores for record in row.records for line in PROMPTS)


def _is_unlike(records: Iterable[Record]) -> bool:
    """Return whether the samples of a record were noted to look like no training image."""
    return any(record.scores[UNLIKE.id].reason for record in records if UNLIKE.id in record.scores)


def _recall(row: Row, detector: str, board: Sequence[Row]) -> str:
    """Return the mean recall over the transformations that this detector has anywhere on the board."""
    return recall_text(row.recalls(detector), dict.fromkeys(name for one in board for name in one.recalls(detector)))


def _shown(row: Row) -> str:
    """Return the smallest exposed share that this cohort and so many samples show with 95 % power."""
    share = row.value("detectable.share")
    if share is not None:
        return percent(share)
    return "nothing" if all("detectable.share" in record.scores for record in row.records) else ABSENT


def _cell(row: Row, score: str, line: Line) -> str:
    """Return a score with its interval; without one, why, and for how many seeds."""
    entry = row.entry(score, line.limits)
    seeds = ""
    if entry is not None and entry.value is None and len(row.records) > 1:
        seeds = f" ({entry.reason.partition(': ')[2]})"
    return with_interval(entry, line.digits) + seeds


def _headings() -> dict[str, Line]:
    """Return heading -> line; an indented line takes the name of the line above it."""
    headings, above = {}, ""
    for line in LINES:
        below = line.heading.startswith(" ")
        headings[f"{above}: {line.heading.strip()}" if below else line.heading] = line
        above = above if below else line.heading
    return headings


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
    notes += sorted({note for record in records for note in record.cohort.notes})
    if not any(record.spec.model == "copycat" for record in records):
        notes.append("No positive control yet: bench run --model copycat --set contamination=0.1 on the same cohort.")
    return notes


def write_boards(records: list[Record], out: Path, audits: Mapping[str, list[str]] | None = None) -> list[Path]:
    """Write COHORT-KEY-PROTOCOL.md, .csv and .html for every board and return their paths.

    The three parts of a name are letters, digits and few signs (`PathPart`, `Key`), the key in whole: two boards never
    have one file.
    """
    written: list[Path] = []
    for (name, key, protocol), group in boards(records).items():
        table, notes = table_of(group), [*notes_of(group), *(audits or {}).get(key, [])]
        title, subtitle = f"{name}: memorisation board", _subtitle(group[0], key, protocol)
        texts = {
            ".md": _markdown(title, subtitle, table, notes),
            ".csv": csv(table),
            ".html": _html(title, subtitle, table, notes),
        }
        stem = f"{name}-{key}-{protocol}"
        written += [_write(out / f"{stem}{ending}", text) for ending, text in texts.items()]
    return written


def _subtitle(record: Record, key: str, protocol: str) -> str:
    cohort = record.cohort
    sizes = ", ".join(f"{name} {cohort.items[name]} items of {cohort.patients[name]} patients" for name in cohort.items)
    return f"protocol {protocol}, cohort {key[:8]}: {' x '.join(map(str, cohort.shape))}, {sizes}"


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _markdown(title: str, subtitle: str, table: pd.DataFrame, notes: list[str]) -> str:
    header, *rows = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    lines = [_markdown_row(header), "| " + " | ".join(["---"] * len(header)) + " |", *map(_markdown_row, rows)]
    text = [f"# {markdown(title)}", "", markdown(subtitle), "", *lines, "", *(f"- {markdown(note)}" for note in notes)]
    return "\n".join([*text, ""])


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(markdown(cell) for cell in cells) + " |"


def _html(title: str, subtitle: str, table: pd.DataFrame, notes: list[str]) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("benchmark.records"), autoescape=True)
    environment.filters["harmless"] = lambda value: html(str(value))
    template = environment.get_template("board.html")
    return template.render(title=title, subtitle=subtitle, table=table, notes=notes)
