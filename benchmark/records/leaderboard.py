"""Records to boards: one per cohort and protocol, ranked with ties, as Markdown, CSV and plain HTML."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import atomic_write
from benchmark.records.columns import LINES, PROMPTS, QUALITY, recall_text, with_interval
from benchmark.records.record import Record

if TYPE_CHECKING:
    import pandas as pd

HEADLINE = "copies.excess[copy]"


def collect(places: Iterable[Path]) -> list[Record]:
    """Read every record.json below these folders and every *.json in a `records` folder, each run once.

    Raises UsageError when there is none, BadDataError for a record that is not valid.
    """
    folders = list(places)
    patterns = ("**/record.json", "records/*.json")
    paths = sorted({path for place in folders for pattern in patterns for path in place.glob(pattern)})
    if not paths:
        looked = ", ".join(str(place) for place in folders)
        raise UsageError(
            f"there is no record in {looked}", "run a model first: bench run --model ldm --data phantom-mr"
        )
    unique = {}
    for path in paths:
        record = Record.read(path)
        unique[record.model_dump_json(include={"spec", "cohort", "hashes"})] = record
    return list(unique.values())


def boards(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Group by (cohort name, cohort key, protocol): rows of different patients or rules never meet in one table."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.cohort.name, record.cohort.key, record.protocol].append(record)
    return dict(sorted(groups.items()))


def ranks(records: list[Record]) -> list[int]:
    """Rank by excess copy rate, lowest first: 1 + how many rows are lower beyond doubt.

    Two rows are apart when the 95 % interval of the difference of their replicates, which share the patients drawn,
    does not hold 0.
    """
    return [1 + sum(_below(other, record) for other in records if other is not record) for record in records]


def _below(first: Record, second: Record) -> bool:
    a, b = (record.replicates.get(HEADLINE) for record in (first, second))
    if not a or not b or len(a) != len(b):
        return False
    return bool(np.quantile(np.subtract(b, a), 0.025) > 0)


def table_of(records: list[Record]) -> pd.DataFrame:
    """Return one board as text, best rank first."""
    import pandas as pd

    done, empty = ([record for record in records if (record.status == "done") == wanted] for wanted in (True, False))
    ranked = sorted(zip(ranks(done), done, strict=True), key=lambda pair: (pair[0], _value(pair[1])))
    rows: list[dict[str, object]] = [{"rank": rank, **row(record)} for rank, record in ranked]
    return pd.DataFrame(rows + [{"rank": "", **row(record)} for record in empty]).fillna("")


def _value(record: Record) -> float:
    value = record.scores[HEADLINE].value
    return float("inf") if value is None else value


def row(record: Record) -> dict[str, str]:
    """Return one board row as text: what was run, then every line for the copy detector, then pixels' headline.

    A run that was declined or failed has the reason in place of the headline, and no other number.
    """
    spec, headings = record.spec, _headings()
    run = {
        "model": spec.model,
        "preset": spec.preset,
        "train items": str(record.cohort.items["train"]),
        "samples": str(spec.samples),
    }
    if record.status != "done":
        return {**run, next(iter(headings)): f"{record.status}: {record.reason}", "seed": str(spec.seed)}
    return {
        **run,
        **{heading: with_interval(record.scores.get(f"{score}[copy]")) for heading, score in headings.items()},
        "planted recall": recall_text(record, "copy"),
        "excess [pixels]": with_interval(record.scores.get("copies.excess[pixels]")),
        "planted recall [pixels]": recall_text(record, "pixels"),
        QUALITY[0].heading: with_interval(record.scores.get(QUALITY[0].id)),
        QUALITY[2].heading: with_interval(record.scores.get(QUALITY[2].id)),
        **{line.heading: with_interval(record.scores[line.id]) for line in PROMPTS if line.id in record.scores},
        "seed": str(spec.seed),
        "fit": f"{record.cost['fit_seconds']:.0f} s",
    }


def _headings() -> dict[str, str]:
    """Return heading -> score; an indented line takes the name of the line above it."""
    headings, above = {}, ""
    for line in LINES:
        below = line.heading.startswith(" ")
        headings[f"{above}: {line.heading.strip()}" if below else line.heading] = line.id
        above = above if below else line.heading
    return headings


def notes_of(records: list[Record]) -> list[str]:
    """Return what stands below a board: definitions, cohort notes, the missing control."""
    prompts = [line for line in PROMPTS if any(line.id in record.scores for record in records)]
    lines = [line for line in (*LINES, *QUALITY, *prompts) if not line.heading.startswith(" ")]
    notes = [f"{line.heading}: {line.meaning}." for line in lines]
    notes.append("Detector copy, unless another is named. Brackets: 95 % interval over patients and synthetic items.")
    notes.append("Equal ranks: the rows cannot be told apart by patients drawn in pairs.")
    notes += sorted({note for record in records for note in record.cohort.notes})
    if not any(record.spec.model == "copycat" for record in records):
        notes.append("No positive control yet: bench run --model copycat --set contamination=0.1 on the same cohort.")
    return notes


def write_boards(records: list[Record], out: Path, audits: Mapping[str, list[str]] | None = None) -> list[Path]:
    """Write COHORT-KEY-PROTOCOL.md, .csv and .html for every board and return their paths. Raises BadDataError."""
    written: list[Path] = []
    for (name, key, protocol), group in boards(records).items():
        if any(record.status == "done" and HEADLINE not in record.scores for record in group):
            raise BadDataError(f"a record of {name} has no {HEADLINE}", "evaluate that run again: bench evaluate RUN")
        table, notes = table_of(group), [*notes_of(group), *(audits or {}).get(key, [])]
        title, subtitle = f"{name}: memorisation board", _subtitle(group[0], key, protocol)
        texts = {
            ".md": _markdown(title, subtitle, table, notes),
            ".csv": table.to_csv(index=False),
            ".html": _html(title, subtitle, table, notes),
        }
        stem = f"{name}-{key[:8]}-{protocol}"
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
    cells = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    lines = ["| " + " | ".join(_plain(cell) for cell in line) + " |" for line in cells]
    return "\n".join([f"# {title}", "", subtitle, "", *lines, "", *(f"- {note}" for note in notes), ""])


def _plain(cell: str) -> str:
    """One line without Markdown's or HTML's own characters: a submitted name may hold any."""
    from markupsafe import escape

    return str(escape(" ".join(cell.split()))).replace("|", "\\|")


def _html(title: str, subtitle: str, table: pd.DataFrame, notes: list[str]) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("benchmark.records"), autoescape=True)
    template = environment.get_template("board.html")
    return template.render(title=title, subtitle=subtitle, table=table, notes=notes)
