"""`bench run`: all stages of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import (
    CACHE_HELP,
    COLUMNS_HELP,
    Json,
    MaxSource,
    all_detectors,
    data_pairs,
    pairs,
    plugin,
    split_kind,
)
from benchmark.cli.outcome import nothing_to_write, written

if TYPE_CHECKING:
    from benchmark.runs.config import RunConfig

# Every option is None unless it is given: only then does it replace what a configuration file says.


def run_command(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model name (see `bench models`), or ./file.py:Class.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Data set name (see `bench datasets`), or ./file.py:Class.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML file with options; those given here replace its own.")
    ] = None,
    write_config: Annotated[
        Path | None, typer.Option("--write-config", help="Write all options but --release to this TOML file, and stop.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", "-p", help="smoke (minutes; the default), small, paper.")
    ] = None,
    root: Annotated[Path | None, typer.Option("--root", help="Folder with the data set's files.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Hyper-parameter: name=value.")] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Pixels (voxels) per side; default: the preset's.")
    ] = None,
    channels: Annotated[str | None, typer.Option("--channels", help="Some channels only, such as t1,flair.")] = None,
    data_settings: Annotated[
        list[str] | None, typer.Option("--set-data", help="Option of the data set: name=value.")
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            "--group-pattern",
            help="With --data folder, what is a patient: a regular expression, folder, folder:N, or none (each image).",
        ),
    ] = None,
    columns: Annotated[str | None, typer.Option("--columns", help=COLUMNS_HELP)] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="patients (the default), official (as published) or images; both are `custom`."),
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option("--split-seed", help="Seed that orders the patients; 0 by default, others are `custom`."),
    ] = None,
    train_items: Annotated[
        int | None, typer.Option("--train-items", help="Train on this many items only; held-out patients stay.")
    ] = None,
    train_patients: Annotated[
        int | None, typer.Option("--train-patients", help="Train on this many patients only; held-out patients stay.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option("--repeat", help="Put the images of some training patients in this many times.")
    ] = None,
    repeat_share: Annotated[
        float | None,
        typer.Option("--repeat-share", help="Share of the training patients for --repeat; 0.1 by default."),
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option("--trained-on", help="Whom a model made elsewhere has seen: split, or a CSV of patients."),
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option("--exclude", help="CSV of items to leave out (`bench datasets check --fix`).")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Refuse where any file would be left out.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", "-n", help="Synthetic images to draw; default: the preset's.")
    ] = None,
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", help="One more detector, such as pixels:foreground=true (see `bench detectors`)."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed of training and sampling, 0 by default: seeds are replicates of one row."),
    ] = None,
    budget_seconds: Annotated[
        float | None, typer.Option("--budget-seconds", help="End training after this many seconds.")
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option("--watch", help="Look for copies while it trains, every so many steps (500) or percent (5%)."),
    ] = None,
    watch_budget: Annotated[
        str | None, typer.Option("--watch-budget", help="Share of training time for these samples; 10% by default.")
    ] = None,
    stop_when: Annotated[
        str | None,
        typer.Option("--stop-when", help="exposed: end training when it copies patients, keep the model from before."),
    ] = None,
    search_transforms: Annotated[
        str | None,
        typer.Option("--search-transforms", help="Search pixels changed too: flips,rotations,shifts,scales."),
    ] = None,
    search_memory: Annotated[
        float | None, typer.Option("--search-memory", help="GiB that a search may take; 2 by default.")
    ] = None,
    trackers: Annotated[
        list[str] | None,
        typer.Option("--tracker", help="Send the training log there, too: wandb, mlflow or trackio. Repeatable."),
    ] = None,
    release: Annotated[
        Path | None, typer.Option("--release", help="Write the samples that need not be withheld to this folder.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto (the default), cpu, cuda or cuda:N.")] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="Where run folders go; runs/ by default.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help=CACHE_HELP),
    ] = None,
    max_source_gib: MaxSource = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and stop: no pixel is read, nothing written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Prepare, train, sample, search all training images for copies, and print the leaderboard row."""
    given = {
        "model": {**plugin("model", model, pairs("--set", settings)), "preset": preset},
        "data": {
            **plugin("data set", data, data_pairs(data_settings, group_pattern, columns)), "root": root,
            "image_size": image_size,
            "channels": channels, "split": split_kind(split) if split else None, "split_seed": split_seed,
            "train_items": train_items, "train_patients": train_patients, "repeat": repeat,
            "repeat_share": repeat_share, "trained_on": trained_on, "exclude": exclude, "strict": strict,
        },
        "samples": samples, "detectors": all_detectors(detectors, search_transforms) or None, "seed": seed,
        "budget_seconds": budget_seconds, "device": device, "search_memory": search_memory, "runs": runs,
        "cache": cache, "trackers": trackers or None,
        "watch": watch, "watch_budget": watch_budget, "stop_when": stop_when,
    }  # fmt: skip
    chosen = _configuration(given, config)
    if write_config:
        chosen.write(write_config)
        written(write_config)
        echo(f"configuration: {write_config}; start it with: bench run --config {write_config}")
        return
    if dry_run:
        show_plan(chosen, as_json=as_json)
        nothing_to_write()
        return
    if release:  # before hours of training
        from benchmark.evaluation.release import require_empty

        require_empty(release)
    from benchmark.cli.tables import stdout_for
    from benchmark.runs.run import run

    with stdout_for(as_json=as_json):
        folder = run(chosen)
    if os.environ.get("RANK", "0") != "0":
        nothing_to_write()
    else:
        if release:  # before the table, whose last line is what the run means
            from benchmark.evaluation.release import write_release

            echo(f"release: {release}, {write_release(folder, release)}", err=as_json)
        show_run(folder, as_json=as_json)


def _configuration(given: dict[str, Any], path: Path | None) -> RunConfig:
    """Put the options of the command line on top of those of a file."""
    from benchmark.core.errors import UsageError
    from benchmark.runs.config import RunConfig, overridden, read_toml

    from_file = read_toml(path) if path else {}
    if given["detectors"] and isinstance(from_file.get("detectors"), list):  # more detectors, never silently fewer
        given = {**given, "detectors": [*from_file["detectors"], *given["detectors"]]}
    values = overridden(from_file, given)
    for name in ("model", "data"):
        if not values[name].get("name"):
            raise UsageError(f"no {name} was named", f"give --{name} NAME, or --config with a file that names it")
    return RunConfig.of(values, str(path) if path else "the command line")


def show_plan(config: RunConfig, *, as_json: bool) -> None:
    """Print what a run would do."""
    from benchmark.cli.tables import print_json, print_table
    from benchmark.runs.dry_run import dry_run, rows

    plan = dry_run(config)
    if as_json:
        print_json(plan)
    else:
        print_table("would be done", ("", ""), rows(plan))


def show_run(folder: Path, *, as_json: bool) -> None:
    """Print the record of a run folder."""
    from benchmark.cli.tables import print_json, print_run, run_json
    from benchmark.records.record import Record

    record = Record.read(folder / "record.json")
    written(folder / "record.json")
    if as_json:
        print_json(run_json(record, folder))
    else:
        print_run(record, folder)
