"""`bench leaderboard table` and `export`: a board or a row in the formats of papers, documents and other registries."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.outcome import nothing_to_write, written
from benchmark.core.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.records.collecting import Refused

RECORDS = Path("leaderboards", "records")
COMMAND = ("bench", "leaderboard", "table")


def table_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of records.")] = RECORDS,
    cohort: Annotated[
        str | None, typer.Option("--cohort", help="Name of the cohort, or the beginning of its digest.")
    ] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Protocol of the board, such as p2.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="Ids with commas: rank, model, answer, ... and scores such as exposed.items, members.auc[pixels] or "
            "exposed.items:n. Default: what a board's page shows first.",
        ),
    ] = None,
    style: Annotated[str, typer.Option("--format", help="latex, markdown or csv.")] = "markdown",
    out: Annotated[Path | None, typer.Option("--out", help="Write a file in place of standard output.")] = None,
    into: Annotated[
        list[Path] | None,
        typer.Option("--into", help="Markdown file whose tables are made again by the commands in it; repeatable."),
    ] = None,
) -> None:
    """Print one board as a table for a paper: LaTeX, Markdown or CSV.

    Several seeds are one row, and rows without numbers stay, with the reason. A record that cannot be used is named and
    left out; the exit code is then 4.
    """
    if into:
        if given := _given(folder=folder, cohort=cohort, protocol=protocol, columns=columns, style=style, out=out):
            raise UsageError(f"--into takes no {given}", "write it into the command in the document")
        _refresh(into)
        return
    text, refused = _table(folder, cohort, protocol, columns, style)
    _put(text, out)
    _end(refused)


def _given(**values: Any) -> str:
    """Return the first option that is not its default; nothing where all are."""
    names = {"folder": "DIR", "style": "--format"}
    defaults = {"folder": RECORDS, "style": "markdown"}
    other = (name for name, value in values.items() if value != defaults.get(name))
    return next((names.get(name, f"--{name}") for name in other), "")


def _table(
    folder: Path, cohort: str | None, protocol: str | None, columns: str | None, style: str
) -> tuple[str, tuple[Refused, ...]]:
    from benchmark.site.paper_table import style_of, table_text
    from benchmark.site.selection import board_of

    style_of(style)  # a mistake in an option is told before the records are read
    board, refused = board_of(folder, cohort, protocol)
    return table_text(board, columns, style), refused


def _put(text: str, out: Path | None) -> None:
    if out is None:
        echo(text.removesuffix("\n"), keep="\n")
        nothing_to_write()
        return
    from benchmark.core.files import atomic_write

    try:
        with atomic_write(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", "name a file in a folder of yours") from error
    written(out)
    echo(out)


def _end(refused: Sequence[Refused]) -> None:
    for one in refused:
        echo(f"left out: {one}", err=True)
    if refused:
        raise typer.Exit(BadDataError.exit_code)


def _refresh(paths: Sequence[Path]) -> None:
    from benchmark.site.documents import read_document, refreshed

    refused: dict[Refused, None] = {}

    def table(command: str) -> str:
        text, left_out = table_of(command)
        refused.update(dict.fromkeys(left_out))
        return text

    texts = {path: refreshed(read_document(path), table, str(path)) for path in paths}
    for path, text in texts.items():
        _put(text, path)
    _end(list(refused))


def table_of(command: str) -> tuple[str, tuple[Refused, ...]]:
    """Return what a `bench leaderboard table` command in a document prints, and the files that it leaves out.

    No shell runs it, and no other command is accepted. Raises UsageError.
    """
    words = _words(command)
    if tuple(words[:3]) != COMMAND:
        raise UsageError(f"a table is made by {command!r}", f"write {' '.join(COMMAND)} and its options")
    given = _options(command, words[3:])
    if given.pop("into") or given.pop("out"):
        raise UsageError(f"{command!r} would write a file", "leave --into and --out away in a document")
    return _table(**{name: given[name] for name in ("folder", "cohort", "protocol", "columns", "style")})


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command!r} is no command: {error}", "close the quotation marks") from error


def _options(command: str, words: list[str]) -> dict[str, Any]:
    parser = App()
    parser.command()(table_command)
    try:
        context = typer.main.get_command(parser).make_context("table", words)
    except typer.Exit as error:  # of --help
        raise UsageError(f"{command!r} makes no table", "leave --help away in a document") from error
    except Exception as error:
        if not hasattr(error, "format_message"):  # what all mistakes on a command line have; typer names no class
            raise
        raise UsageError(f"{command!r} cannot be read: {error}", "see bench leaderboard table --help") from error
    return dict(context.params)


def export_command(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD...", help="A record (.json); several seeds of one row.")
    ],
    style: Annotated[str, typer.Option("--format", help="huggingface or every-eval-ever.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write a file in place of standard output.")] = None,
) -> None:
    """Print the headline of a row for a model card on Hugging Face, or as a record of every_eval_ever.

    A headline that was refused is exported as refused, with the reason, never as a number. The receipts are computed
    again first: a record with another number is not exported (exit code 4).
    """
    from benchmark.runs.submission import checked_records
    from benchmark.site.exports import export_text, style_of

    style_of(style)
    if twice := next((path for path in records if records.count(path) > 1), None):
        raise UsageError(f"{twice} is there twice", "give it once")
    _put(export_text(checked_records(records), style), out)
