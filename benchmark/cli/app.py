"""The command `bench`. Each command parses, calls one function and prints; heavy imports happen inside."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from benchmark import __version__
from benchmark.cli.apps import App, Root, end_at_sigterm
from benchmark.cli.audit import audit_command
from benchmark.cli.datasets import datasets_app
from benchmark.cli.demo import demo_command
from benchmark.cli.detectors import detectors_app
from benchmark.cli.echo import echo
from benchmark.cli.evaluate import evaluate_command
from benchmark.cli.leaderboard import leaderboard_app
from benchmark.cli.metrics import metrics_app
from benchmark.cli.models import check_model_command, models_app
from benchmark.cli.prompts import prompts_command
from benchmark.cli.report import report_command
from benchmark.cli.reproduce import reproduce_command
from benchmark.cli.run import run_command
from benchmark.cli.runs import runs_app
from benchmark.cli.sweep import sweep_command
from benchmark.core.content_digests import READ_AGAIN
from benchmark.core.errors import BenchError

app = App(
    name="bench",
    cls=Root,
    help="Has a generative model of medical images memorised its training patients?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo", short_help="Audit a generator that copies simulated patients.")(demo_command)
app.command("audit", short_help="Tell whether images in folders copy training images.")(audit_command)
app.command("run", short_help="Train a model, sample, and measure what it memorised.")(run_command)
app.command("sweep", short_help="Run all combinations of settings, and test for trends.")(sweep_command)
app.command("evaluate", short_help="Evaluate the samples of a run again.")(evaluate_command)
app.command("report", short_help="Write the report of a run, or of scored prompts.")(report_command)
app.command("check", short_help="Test whether a model fits the benchmark.")(check_model_command)
app.command("prompts", short_help="Find the prompts that a pipeline has memorised.")(prompts_command)
app.command("reproduce", short_help="Repeat a published study on your data.")(reproduce_command)
app.add_typer(runs_app, name="runs")
app.add_typer(metrics_app, name="metrics")
app.add_typer(models_app, name="models")
app.add_typer(datasets_app, name="datasets")
app.add_typer(detectors_app, name="detectors")
app.add_typer(leaderboard_app, name="leaderboard")


@app.callback(invoke_without_command=True)
def _all_commands(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
    read_again: Annotated[
        bool, typer.Option("--read-again", help="Read every file again, also those that have the same size and times.")
    ] = False,
) -> None:
    if version:
        echo(f"memobench {__version__}")
        raise typer.Exit
    if read_again:
        os.environ[READ_AGAIN] = "1"


def main() -> None:
    """Run the command line; a BenchError becomes one message and its exit code."""
    # OpenMP's threads spin while they wait, which beside other work made steps about 20 times slower. A short spin
    # keeps nearly all of the speed of a machine of one's own (0.190 s per step against 0.183; with none, 0.259).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("BENCH_PROCESSES", "1")
    end_at_sigterm()
    try:
        app()
    except BenchError as error:
        if os.environ.get("BENCH_TRACE"):
            raise
        echo(f"error: {error}", err=True, keep="\n")
        sys.exit(error.exit_code)
