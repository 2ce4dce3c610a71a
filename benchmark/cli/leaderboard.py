"""`bench leaderboard`: tables made from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.outcome import written

leaderboard_app = App(no_args_is_help=True)


@leaderboard_app.callback()
def leaderboard_command() -> None:
    """Make tables from records."""


@leaderboard_app.command("build", writes=True)
def build_command(
    runs: Annotated[list[Path] | None, typer.Option("--runs", help="Where records are; repeatable.")] = None,
    audits: Annotated[Path, typer.Option("--audits", help="Where `bench detectors check` left its audits.")] = Path(
        "audits"
    ),
    out: Annotated[Path, typer.Option("--out", help="Where tables and the site go.")] = Path("leaderboards"),
) -> None:
    """Turn records into one board per cohort and protocol: Markdown, CSV, parquet, and a site in OUT/site.

    The site needs no server and no network: open OUT/site/index.html, or publish that folder.
    """
    from benchmark.records.detector_audits import collect_audits
    from benchmark.records.leaderboard import collect, write_boards
    from benchmark.site.build import build_site
    from benchmark.site.entry import tells

    records, sentences = collect([*(runs or [Path("runs")]), out]), collect_audits(audits)
    for path in write_boards(records, out, sentences, tells):
        written(path)
        echo(path)
    site = build_site(records, out / "site", audits=sentences)
    written(site)
    echo(site)
