"""`bench leaderboard`: tables made from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.apps import App

leaderboard_app = App(no_args_is_help=True)


@leaderboard_app.callback()
def leaderboard_command() -> None:
    """Make tables from records."""


@leaderboard_app.command("build")
def build_command(
    runs: Annotated[list[Path] | None, typer.Option("--runs", help="Where records are; repeatable.")] = None,
    audits: Annotated[Path, typer.Option("--audits", help="Where `bench detectors check` left its audits.")] = Path(
        "audits"
    ),
    out: Annotated[Path, typer.Option("--out", help="Where tables go.")] = Path("leaderboards"),
) -> None:
    """Turn records into one table per cohort and protocol: Markdown, CSV and HTML.

    A record that cannot be used is named and left out; the boards are built from the others, and the exit code is 4.
    """
    from benchmark.records.collecting import gather
    from benchmark.records.detector_audits import collect_audits
    from benchmark.records.leaderboard import write_boards

    gathered = gather([*(runs or [Path("runs")]), out])
    sentences, unusable = collect_audits(audits)
    for path in write_boards(list(gathered.records.values()), out, sentences):
        typer.echo(path)
    refused = (*gathered.refused, *unusable)
    for one in refused:
        typer.echo(f"left out: {one}", err=True)
    if refused:
        raise typer.Exit(LEFT_OUT)


LEFT_OUT = 4
"""Exit code where a file was left out: that of bad data (`core.errors.BadDataError`)."""
