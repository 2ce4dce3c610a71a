"""`bench report`: the private page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where the pages go; the run folder by default.")] = None,
    must_see: Annotated[
        float, typer.Option("--must-see", help="Share of copies that must be visible for an all-clear.")
    ] = 0.01,
) -> None:
    """Write report.html (private: it shows patients) and summary.html (without names and images) of a run."""
    from benchmark.runs.report import report_run

    page = report_run(folder, out or folder, must_see=must_see)
    typer.echo(f"report: {page} (private: it shows patients)")
    typer.echo(f"summary: {page.with_name('summary.html')}")
