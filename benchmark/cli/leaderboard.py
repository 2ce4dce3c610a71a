"""`bench leaderboard`: records that are submitted and checked, and tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.outcome import written
from benchmark.cli.publish import RECORDS, export_command, table_command

if TYPE_CHECKING:
    from benchmark.records.collecting import Refused

leaderboard_app = App(no_args_is_help=True)
REFUSED = 4
"""Exit code where a file was refused or left out: that of bad data (`core.errors.BadDataError`)."""
leaderboard_app.command("table", writes=True)(table_command)
leaderboard_app.command("export", writes=True)(export_command)


@leaderboard_app.callback()
def leaderboard_command() -> None:
    """Submit and check records, and make tables from them."""


@leaderboard_app.command("build", writes=True)
def build_command(
    runs: Annotated[list[Path] | None, typer.Option("--runs", help="Where records are; repeatable.")] = None,
    audits: Annotated[Path, typer.Option("--audits", help="Where `bench detectors check` left its audits.")] = Path(
        "audits"
    ),
    out: Annotated[Path, typer.Option("--out", help="Where tables and the site go.")] = Path("leaderboards"),
) -> None:
    """Turn records into one board per cohort and protocol: Markdown, CSV, parquet, and a site in OUT/site.

    The site needs no server and no network: open OUT/site/index.html, or publish that folder. A record that cannot be
    used is named and left out; the boards are built from the others, and the exit code is 4.
    """
    from benchmark.records.collecting import gather
    from benchmark.records.detector_audits import collect_audits
    from benchmark.records.history import with_history
    from benchmark.site.board import boards_of
    from benchmark.site.build import build_site, write_boards
    from benchmark.site.left_out import left_out
    from benchmark.site.standing import standings_of

    gathered = gather([*(runs or [Path("runs")]), out])
    sentences, unusable = collect_audits(audits)
    refused = (*gathered.refused, *unusable)
    records, gone = with_history(gathered.records, out)
    boards = boards_of(records, standings_of(records), sentences)
    for path in write_boards(boards, out):
        written(path)
        echo(path)
    site = build_site(boards, out / "site", left_out=left_out(refused, gathered.files))
    written(site)
    echo(site)
    for name in gone:
        echo(f"gone: {name}", err=True)
    _end(refused, "left out")


@leaderboard_app.command("submit", writes=True)
def submit_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path, typer.Option("--out", help="Where the record goes.")] = RECORDS,
) -> None:
    """Check the record of a run, and copy it, with its receipts, to the records of boards.

    The file is named after the record's digest. Nothing else of the run is read. The exit code is 4, and nothing is
    written, where the record would be refused.
    """
    from benchmark.runs.submission import submit

    path = submit(folder, out)
    written(path)
    echo(path)


@leaderboard_app.command("verify")
def verify_command(
    records: Annotated[list[Path], typer.Argument(metavar="RECORD...", help="Records (.json).")],
    among: Annotated[Path | None, typer.Option("--among", help="Folder of records to rank them with.")] = None,
) -> None:
    """Compute the headline of records again from their receipts, without images and patients.

    Prints MATCH, or the first number that differs; then the exit code is 4. With --among, prints the rank, too.
    """
    from benchmark.evaluation.verification import first_difference
    from benchmark.records.collecting import read_records
    from benchmark.records.leaderboard import rank_text
    from benchmark.records.record import Record
    from benchmark.site.entry import tells

    others = [] if among is None else list(read_records(sorted(among.glob("*.json")))[0].values())
    refused = []
    for path in records:
        record = Record.read(path)
        difference = first_difference(record)
        rank = f", {rank_text(record, others, tells)}" if among is not None and not difference else ""
        echo(f"{path}: {difference or 'MATCH'}{rank}")
        refused += [path] if difference else []
    if refused:
        raise typer.Exit(REFUSED)


@leaderboard_app.command("retract", writes=True)
def retract_command(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A submitted record (.json).")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in one sentence, which boards show.")],
) -> None:
    """Take a record's numbers off the boards: its row stays, and says why."""
    from benchmark.core.errors import UsageError
    from benchmark.core.stages import STATUS
    from benchmark.records.record import Record
    from benchmark.records.strict_text import one_line

    if record.with_name(STATUS).exists():
        raise UsageError(
            f"{record} is the record of a run folder, which holds what the run has measured",
            "name the copy that was submitted: leaderboards/records/KEY.json",
        )
    Record.read(record).retracted(one_line(reason)).replace(record)
    written(record)
    echo(record)


@leaderboard_app.command("validate")
def validate_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of records.")] = RECORDS,
) -> None:
    """Check every record of a folder as a board's maintainer would, and compute all headlines again.

    Each record that is refused is named with the first reason; the exit code is then 4.
    """
    from benchmark.runs.submission import validate

    accepted, refused = validate(folder)
    echo(f"{accepted} of {accepted + len(refused)} records are valid")
    _end(refused, "refused")


def _end(refused: Sequence[Refused], what: str) -> None:
    for one in refused:
        echo(f"{what}: {one}", err=True)
    if refused:
        raise typer.Exit(REFUSED)
