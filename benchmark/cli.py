"""The command `bench`. Each command parses, calls one function and prints; heavy imports happen inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark import __version__
from benchmark.cli_options import (
    Cache,
    Channels,
    Data,
    Detectors,
    Device,
    Exclude,
    GroupPattern,
    ImageSize,
    Model,
    Root,
    Runs,
    SearchGib,
    SearchTransforms,
    Seed,
    SetData,
    SplitBy,
    Strict,
    TrainItems,
    all_detectors,
    data_pairs,
    pairs,
    rule,
)  # fmt: skip
from benchmark.cli_text import prompts_command, reproduce_command
from benchmark.core.errors import BenchError

if TYPE_CHECKING:
    from benchmark.plugins.registry import ModelCard

app = typer.Typer(
    name="bench",
    help="Has a generative model of medical images memorised its training patients?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
detectors_app = typer.Typer(
    help="List detectors, or measure their errors.", invoke_without_command=True, rich_markup_mode=None
)
datasets_app = typer.Typer(help="List data sets, or check one.", invoke_without_command=True, rich_markup_mode=None)
models_app = typer.Typer(
    help="List models, or install what one needs.", invoke_without_command=True, rich_markup_mode=None
)
board_app = typer.Typer(help="Make tables from records.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")
app.add_typer(datasets_app, name="datasets")
app.add_typer(detectors_app, name="detectors")
app.add_typer(board_app, name="leaderboard")


@app.command("run")
def run_command(
    model: Model,
    data: Data,
    preset: Annotated[str, typer.Option("--preset", "-p", help="smoke (minutes), small, paper.")] = "smoke",
    root: Root = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Hyper-parameter: name=value.")] = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    data_settings: SetData = None,
    group_pattern: GroupPattern = None,
    split: SplitBy = "patients",
    train_items: TrainItems = None,
    exclude: Exclude = None,
    strict: Strict = False,
    samples: Annotated[int | None, typer.Option("--samples", "-n", help="Synthetic items to draw.")] = None,
    detectors: Detectors = None,
    seed: Seed = 0,
    budget_seconds: Annotated[float | None, typer.Option("--budget-seconds", help="End training early.")] = None,
    search_transforms: SearchTransforms = None,
    search_gib: SearchGib = 2.0,
    device: Device = "auto",
    runs: Runs = Path("runs"),
    cache: Cache = Path("cache"),
) -> None:
    """Prepare, train, sample, search all training items for copies, and print the board row."""
    from benchmark.runs.config import Request
    from benchmark.runs.run import run

    request = Request(
        model=model, data=data, preset=preset, root=root, settings=pairs("--set", settings), image_size=image_size,
        channels=channels, data_settings=data_pairs(data_settings, group_pattern), split=rule(split),
        train_items=train_items, exclude=exclude, strict=strict, samples=samples,
        detectors=all_detectors(detectors, search_transforms), seed=seed, budget_seconds=budget_seconds, device=device,
        search_gib=search_gib, runs=runs, cache=cache,
    )  # fmt: skip
    folder = run(request)
    if os.environ.get("RANK", "0") == "0":
        _show(folder)


@app.command("evaluate")
def evaluate_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    detectors: Detectors = None,
    search_transforms: SearchTransforms = None,
    search_gib: Annotated[float | None, typer.Option("--search-memory", help="GiB that a search may take.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = None,
) -> None:
    """Evaluate a run's samples again, without training or sampling."""
    from benchmark.runs.run import evaluate_again

    chosen = all_detectors(detectors, search_transforms)
    evaluate_again(folder, detectors=chosen, device=device, search_gib=search_gib)
    _show(folder)


def _show(folder: Path) -> None:
    from benchmark.records.record import Record
    from benchmark.terminal import print_run

    print_run(Record.read(folder / "record.json"), folder)


@models_app.callback(invoke_without_command=True)
def models_command(context: typer.Context) -> None:
    """List the models: dimensions, abilities, presets."""
    if context.invoked_subcommand:
        return
    from benchmark.plugins.registry import ModelCard, listing
    from benchmark.terminal import print_table

    found = listing("models")
    cards = [card for card in found.cards.values() if isinstance(card, ModelCard)]
    rows = [
        (card.name, _dimensions(card), ", ".join(card.abilities), ", ".join(card.presets), card.summary)
        for card in cards
    ]
    print_table("models", ("name", "items", "abilities", "presets", "summary"), rows)
    _warn(found.problems)


@models_app.command("install")
def install_command(
    name: Annotated[str, typer.Argument(help="Model name (see `bench models`).")],
    accepted: Annotated[bool, typer.Option("--accept-licence", help="You have read the terms and keep them.")] = False,
) -> None:
    """Fetch the repository that a model needs, with git, once its licence is accepted."""
    from benchmark.plugins.checkouts import install
    from benchmark.plugins.registry import find_model

    typer.echo(f"{name} is installed: {install(find_model(name), accepted=accepted)}")


@app.command("check")
def check_model_command(
    model: Annotated[str, typer.Argument(help="Model name (see `bench models`), or ./file.py:Class.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Hyper-parameter: name=value.")] = None,
    device: Device = "cpu",
) -> None:
    """Try whether a model keeps its contract, on toy cohorts; exit code 5 when it does not."""
    from benchmark.adapters.check_model import check_model, conforms, table_rows
    from benchmark.terminal import print_table

    findings = check_model(model, pairs("--set", settings), device=device)
    columns, rows = table_rows(findings)
    print_table(f"{model}: does it keep its contract?", columns, rows)
    for finding in findings:
        if finding.status in ("fault", "refused"):
            typer.echo(f"{finding.status}: {finding.check} ({finding.on}): {finding.detail}")
    if not conforms(findings):
        raise typer.Exit(5)


@datasets_app.callback(invoke_without_command=True)
def datasets_command(context: typer.Context) -> None:
    """List the data sets, or check one with `bench datasets check NAME`."""
    if context.invoked_subcommand:
        return
    from benchmark.plugins.registry import DatasetCard, listing
    from benchmark.terminal import print_table

    found = listing("datasets")
    cards = [card for card in found.cards.values() if isinstance(card, DatasetCard)]
    rows = [
        (
            card.name,
            card.modality,
            f"{card.dimensions}D",
            ", ".join(card.channels),
            card.licence,
            card.summary,
        )
        for card in cards
    ]
    print_table("data sets", ("name", "modality", "items", "channels", "licence", "summary"), rows)
    _warn(found.problems)


@datasets_app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="Data set name.")]) -> None:
    """Print a data set's card: how to get it, its layout, licence, recipe and traps."""
    from benchmark.plugins.registry import find_dataset
    from benchmark.terminal import print_table

    card = find_dataset(name).model_dump(exclude={"folder", "entry"})
    rows = [
        (key, "\n".join(map(str, value)) if isinstance(value, tuple) else str(value)) for key, value in card.items()
    ]
    print_table(name, ("field", "value"), rows)


@datasets_app.command("check")
def check_command(
    name: Annotated[str, typer.Argument(help="Data set name.")],
    root: Root = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    data_settings: SetData = None,
    group_pattern: GroupPattern = None,
    split: SplitBy = "patients",
    train_items: TrainItems = None,
    exclude: Exclude = None,
    strict: Strict = False,
    seed: Seed = 0,
    fix: Annotated[bool, typer.Option("--fix", help="Write exclude.csv, which `--exclude` then takes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Where findings, manifest and contact sheet go.")] = Path("checks"),
    cache: Cache = Path("cache"),
) -> None:
    """Report duplicates, leaks, odd files and grey levels; exit code 4 when a patient or image is in two splits."""
    from benchmark.cohorts.check.export import write_dossier
    from benchmark.cohorts.check.report import check
    from benchmark.cohorts.check.text import render
    from benchmark.cohorts.locate import locate
    from benchmark.runs.config import Request, build_dataset
    from benchmark.terminal import print_table

    request = Request(
        model="", data=name, root=root, image_size=image_size, channels=channels,
        data_settings=data_pairs(data_settings, group_pattern),
    )  # fmt: skip
    card, dataset = build_dataset(request)
    report, stored, cohort = check(
        card.name, dataset, locate(card, dataset, root=root, cache=cache), cache,
        seed=seed, train_items=train_items, rule=rule(split), exclude=exclude, strict=strict,
    )  # fmt: skip
    print_table(f"{card.name}: cohort {report.key[:8]}", ("what", "found"), render(report))
    for path in write_dossier(out / f"{card.name}-{report.key[:8]}", report, stored, cohort, fix=fix):
        typer.echo(f"{path.stem}: {path} (private)")
    if not report.ok:
        raise typer.Exit(4)


@detectors_app.callback(invoke_without_command=True)
def detectors_command(context: typer.Context) -> None:
    """List the detectors."""
    if context.invoked_subcommand:
        return
    from benchmark.detectors.registry import CARDS, PROTOCOL
    from benchmark.terminal import print_table

    rows = [(card.name, "p1" if card.name in PROTOCOL else "", card.summary, card.paper) for card in CARDS.values()]
    print_table("detectors", ("name", "protocol", "summary", "source"), rows)


@detectors_app.command("check")
def check_detectors_command(
    data: Data,
    root: Root = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    data_settings: SetData = None,
    group_pattern: GroupPattern = None,
    split: SplitBy = "patients",
    train_items: TrainItems = None,
    exclude: Exclude = None,
    strict: Strict = False,
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", help="NAME or NAME:option=value; repeatable; default: all that need no file."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How often each trained detector is trained.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of the patient split.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Where audits go.")] = Path("audits"),
    device: Device = "auto",
    cache: Cache = Path("cache"),
) -> None:
    """Measure detectors on a cohort: recall of planted copies, false positives, agreement of seeds, speed."""
    from benchmark.evaluation.detector_audit_report import table_rows
    from benchmark.evaluation.detector_audit_run import check_detectors
    from benchmark.runs.config import Request
    from benchmark.terminal import print_table

    request = Request(
        model="", data=data, root=root, image_size=image_size, channels=channels,
        data_settings=data_pairs(data_settings, group_pattern), split=rule(split), train_items=train_items,
        exclude=exclude, strict=strict, seed=seed, device=device, cache=cache,
    )  # fmt: skip
    audit, folder = check_detectors(request, detectors or [], seeds=seeds, out=out)
    sizes = ", ".join(f"{name} {count} items" for name, count in audit.cohort.items.items())
    print_table(f"detectors on {audit.cohort.name}: {sizes}", ["", *audit.detectors, ""], table_rows(audit))
    typer.echo(f"audit: {folder / 'audit.json'}")
    typer.echo(f"plot: {folder / 'audit.png'}")


app.command("prompts")(prompts_command)
app.command("reproduce")(reproduce_command)


@app.command("metrics")
def metrics_command() -> None:
    """List the scores of a record: what each means, and which way is better."""
    from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY
    from benchmark.terminal import print_table

    rows = [(f"{line.id}[DETECTOR]", line.meaning) for line in (*LINES, *FURTHER)]
    rows.append(("detector.recall.NAME[DETECTOR]", "share of planted copies found above tau, by transformation"))
    print_table(
        "scores",
        ("id", "meaning"),
        [*rows, *((line.id, line.meaning) for line in (*QUALITY, *FURTHER_QUALITY, *PROMPTS))],
    )


@board_app.command("build")
def build_command(
    runs: Annotated[list[Path] | None, typer.Option("--runs", help="Where records are; repeatable.")] = None,
    audits: Annotated[Path, typer.Option("--audits", help="Where `bench detectors check` left its audits.")] = Path(
        "audits"
    ),
    out: Annotated[Path, typer.Option("--out", help="Where tables go.")] = Path("leaderboards"),
) -> None:
    """Turn records into one table per cohort and protocol: Markdown, CSV and HTML."""
    from benchmark.records.leaderboard import collect, collect_audits, write_boards

    records = collect([*(runs or [Path("runs")]), out])
    for path in write_boards(records, out, collect_audits(audits)):
        typer.echo(path)


def _dimensions(card: ModelCard) -> str:
    return ", ".join(f"{count}D" for count in card.dimensions)


def _warn(problems: tuple[str, ...]) -> None:
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"memobench {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a BenchError becomes one message and its exit code."""
    # OpenMP's threads spin while they wait, which beside other work made steps about 20 times slower. A short spin
    # keeps nearly all of the speed of a machine of one's own (0.190 s a step against 0.183; with none, 0.259).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("BENCH_PROCESSES", "1")
    try:
        app()
    except BenchError as error:
        if os.environ.get("BENCH_TRACE"):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        sys.exit(130)
