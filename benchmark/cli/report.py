"""`bench report`: the private page of a run, or of scored prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import MaxSource
from benchmark.cli.outcome import written


def report_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run folder, or a folder that `bench prompts` wrote.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the pages go; that folder by default.")] = None,
    must_see: Annotated[
        float, typer.Option("--must-see", help="Share of copies that must be visible for an all-clear.")
    ] = 0.01,
    max_source_gib: MaxSource = None,
) -> None:
    """Write report.html (private: it shows patients) and summary.html (without names and images) of a run.

    Of a folder of `bench prompts` report.html alone, which shows prompts and what they give back.
    """
    from benchmark.core.files import private_folder
    from benchmark.evaluation.report.prompts import is_prompts_folder, write_prompts_report
    from benchmark.runs.report import report_run

    if is_prompts_folder(folder):
        private_folder(out or folder)
        page = write_prompts_report(folder, out or folder)
        written(page)
        echo(f"report: {page} (private: it shows prompts and images)")
        return
    page = report_run(folder, out or folder, must_see=must_see)
    written(page, page.with_name("summary.html"))
    echo(f"report: {page} (private: it shows patients)")
    echo(f"summary: {page.with_name('summary.html')}")
