"""What the commands print: tables and the row of a run."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.echo import echo
from benchmark.core.progress import printable
from benchmark.records.columns import (
    ABSENT,
    LINES,
    PROMPTS,
    QUALITY,
    Line,
    detectors_of,
    recall_text,
    recalls,
    with_interval,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmark.records.record import Record


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output, full width where it is not a terminal; columns without names have no header."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=printable(title, keep="\n"), title_justify="left", box=SIMPLE, pad_edge=False, show_header=any(columns)
    )
    for column in columns:
        table.add_column(column, overflow="fold", min_width=max(map(len, column.split()), default=0))
    for row in rows:
        table.add_row(*(printable(cell, keep="\n") for cell in row))
    Console(width=None if sys.stdout.isatty() else 150, markup=False, emoji=False, highlight=False).print(table)


def print_json(value: Any) -> None:
    """Print one JSON value on standard output."""
    import json

    print(json.dumps(value, indent=2, default=str))  # noqa: T201


@contextmanager
def stdout_for(*, as_json: bool) -> Iterator[None]:
    """While it lasts, send what libraries print on standard output to standard error, where that is JSON alone."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield


def run_json(record: Record, folder: Path) -> dict[str, Any]:
    """Return a run for machines: what it means, where its files are, and the whole record."""
    from benchmark.evaluation.run_headline import headline

    return {
        "headline": headline(record),
        "folder": str(folder),
        "record": record.model_dump(mode="json", by_alias=True),
    }


def print_run(record: Record, folder: Path) -> None:
    """Print the board row of a run, its warnings, where record and figures are, and last what it means."""
    from benchmark.evaluation.run_headline import headline

    cohort = record.cohort
    sizes = ", ".join(f"{name} {cohort.items[name]} items / {cohort.patients[name]} patients" for name in cohort.items)
    spec = record.spec
    title = f"{spec.model} ({spec.preset}, seed {spec.seed}) on {cohort.name}, protocol {record.protocol}"
    detectors = detectors_of(record)
    cells = {line: [_cell(record, line, detector) for detector in detectors] for line in LINES}
    rows = [[line.heading, *texts, line.meaning] for line, texts in cells.items()]
    rows.append(
        [
            "planted recall at tau",
            *(recall_text(recalls(record, detector)) for detector in detectors),
            "of known copies",
        ]
    )
    rows += [
        [f"  {name}", *(_recall(record, name, detector) for detector in detectors), ""]
        for name in recalls(record, detectors[0])
    ]
    empty = [""] * (len(detectors) - 1)
    shown = [*QUALITY, *(line for line in PROMPTS if line.id in record.scores)]
    rows += [[line.heading, with_interval(record.scores.get(line.id)), *empty, line.meaning] for line in shown]
    print_table(f"{title}\n{sizes}; {record.spec.samples} samples", ["", *detectors, ""], rows)
    for line in (*_reasons(record), *cohort.notes):
        echo(f"note: {line}")
    echo(f"record: {folder / 'record.json'}")
    echo(f"figures: {folder / 'figures'} (private: they show patients)")
    echo(headline(record))


def _cell(record: Record, line: Line, detector: str) -> str:
    return with_interval(record.scores.get(f"{line.id}[{detector}]"), line.digits)


def _recall(record: Record, name: str, detector: str) -> str:
    value = recalls(record, detector).get(name)
    return ABSENT if value is None else f"{value:.2f}"


def _reasons(record: Record) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, score in record.scores.items():
        if score.reason:
            reasons.setdefault(score.reason, []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
