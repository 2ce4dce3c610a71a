"""The command `bench`. Each command parses, calls one function and prints; heavy imports happen inside."""

from __future__ import annotations

import os
import signal
import traceback
from typing import Annotated

import typer

from benchmark import __version__
from benchmark.cli.apps import App, Root
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
from benchmark.cli.start import main
from benchmark.cli.sweep import sweep_command
from benchmark.core.content_digests import READ_AGAIN
from benchmark.core.errors import BenchError
from benchmark.core.interrupt import received

__all__ = ["app", "main", "run_command_line"]

app = App(
    name="bench",
    cls=Root,
    help="Has a generative model of medical images memorised its training patients?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo", writes=True, short_help="Audit a generator that copies simulated patients.")(demo_command)
app.command("audit", writes=True, short_help="Tell whether images in folders copy training images.")(audit_command)
app.command("run", writes=True, short_help="Train a model, sample, and measure what it memorised.")(run_command)
app.command("sweep", writes=True, short_help="Run all combinations of settings, and test for trends.")(sweep_command)
app.command("evaluate", writes=True, short_help="Evaluate the samples of a run again.")(evaluate_command)
app.command("report", writes=True, short_help="Write the report of a run, or of scored prompts.")(report_command)
app.command("check", short_help="Test whether a model fits the benchmark.")(check_model_command)
app.command("prompts", writes=True, short_help="Find the prompts that a pipeline has memorised.")(prompts_command)
app.command("reproduce", writes=True, short_help="Repeat a published study on your data.")(reproduce_command)
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


def run_command_line() -> int:
    """Run the command that the arguments name, and return its exit code; an error becomes one message."""
    try:
        app()
        code = 0
    except SystemExit as end:  # how typer ends
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a sentence and an exit code
        code = 0 if received() else _tell(error)  # after a signal it is a consequence of that
    return 128 + received() if received() else code


def _tell(error: Exception) -> int:
    """Print what ended the command, and return its exit code."""
    from benchmark.core.failures import explained

    if os.environ.get("BENCH_TRACE"):
        traceback.print_exception(error)
    told = error if isinstance(error, BenchError) else explained(error)
    echo(f"error: {told}", err=True, keep="\n")
    return told.exit_code
