"""`bench sweep`: many runs along axes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import CACHE_HELP, Json, MaxSource, pairs
from benchmark.cli.outcome import nothing_to_write, written

if TYPE_CHECKING:
    from benchmark.runs.sweeps.axes import Axes
    from benchmark.runs.sweeps.engines import Engine
    from benchmark.runs.sweeps.estimate import Estimate
    from benchmark.runs.sweeps.plan import Plan

LISTED = 40
"""Cells that the plan lists on a terminal; cells.jsonl and --json have all."""
EXIT_FAILED = 5
"""Exit code where a cell has failed: that of a model that failed."""


def sweep_command(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML file of a run whose values may be lists.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Models, such as ldm,ddpm.")] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", help="Data sets, such as phantom-mr.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", "-p", help="Presets: smoke, small, paper.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Hyper-parameter: steps=400,800; of lists widths=32,64;64,128.")
    ] = None,
    data_settings: Annotated[
        list[str] | None, typer.Option("--set-data", help="Option of the data set: name=value,value.")
    ] = None,
    steps: Annotated[str | None, typer.Option("--steps", help="Training steps, such as 400,800.")] = None,
    train_items: Annotated[
        str | None, typer.Option("--train-items", help="Training images, such as 16,50,all: nested, by patient.")
    ] = None,
    train_patients: Annotated[
        str | None, typer.Option("--train-patients", help="Training patients, such as 8,25,all: nested.")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", help="What training sizes share: equal-steps (the default) or equal-epochs."),
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option("--augmentation", help="none, flips, published, strong; ada for GANs.")
    ] = None,
    repeat: Annotated[
        str | None, typer.Option("--repeat", help="How often the images of some patients are in, such as 1,10,50.")
    ] = None,
    repeat_share: Annotated[
        str | None, typer.Option("--repeat-share", help="Share of the training patients for --repeat; 0.1 by default.")
    ] = None,
    samples: Annotated[str | None, typer.Option("--samples", "-n", help="Synthetic images, such as 500,2000.")] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", help="A detector besides those of every run, as an axis: none,ssim.")
    ] = None,
    image_size: Annotated[str | None, typer.Option("--image-size", help="Pixels per side, such as 32,64.")] = None,
    channels: Annotated[
        str | None, typer.Option("--channels", help="Channels: t1;flair are two values, t1,flair; is one.")
    ] = None,
    split_seed: Annotated[str | None, typer.Option("--split-seed", help="Seeds that order the patients.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="Seeds of training and sampling, such as 0,1,2.")] = None,
    root: Annotated[Path | None, typer.Option("--root", help="Folder with the data set's files.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto (the default), cpu or cuda.")] = None,
    search_memory: Annotated[
        float | None, typer.Option("--search-memory", help="GiB that a search may take; 2 by default.")
    ] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="Where run folders go; runs/ by default.")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help=CACHE_HELP)] = None,
    max_source_gib: MaxSource = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the sweep's folder; by default models, data and a digest.")
    ] = None,
    sweeps: Annotated[Path, typer.Option("--sweeps", help="Where folders of sweeps go.")] = Path("sweeps"),
    engine: Annotated[str, typer.Option("--engine", help="local (this machine) or ray (a cluster).")] = "local",
    address: Annotated[str | None, typer.Option("--address", help="Running Ray cluster; else one starts here.")] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", help="Training processes per cell, by torchrun (ray); 1 by default.")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option("--cpus", help="CPU cores that ray reserves per training process; 1 by default.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Cells at once; by default one per GPU or core, or as a cluster has room."),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")] = False,
    redo: Annotated[
        str, typer.Option("--redo", help="What runs again: missing, failed (and missing), or all.")
    ] = "failed",
    order: Annotated[
        list[str] | None,
        typer.Option("--order", help="Order of named values for the trend test: augmentation=none,flips,strong."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option("--claim", help="Direction of memorisation claimed beforehand: train-items=falls or rises."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run every combination of the values given: models, training sizes, augmentations, seeds ... (comma lists)."""
    from benchmark.runs.sweeps.engines import find_engine
    from benchmark.runs.sweeps.sweep import require_redo, sweep_name

    lists = {
        "model": model, "data": data, "preset": preset, "steps": steps, "train_items": train_items,
        "train_patients": train_patients, "augmentation": augmentation, "repeat": repeat, "repeat_share": repeat_share,
        "samples": samples, "detector": detector, "image_size": image_size, "channels": channels,
        "split_seed": split_seed, "seed": seed,
    }  # fmt: skip
    single = {
        "control": control, "data.root": root, "device": device, "search_memory": search_memory, "runs": runs,
        "cache": cache,
    }  # fmt: skip
    axes = _axes(config, lists, single, pairs("--set", settings), pairs("--set-data", data_settings))
    folder = sweeps / (name or sweep_name(axes))
    _run(
        axes, folder, find_engine(engine, address=address, processes=processes, cpus=cpus), orders=order or [],
        directions=claim or [], cluster=address is not None, workers=workers, fail_fast=fail_fast,
        redo=require_redo(redo), dry_run=dry_run, as_json=as_json,
    )  # fmt: skip


def _axes(
    config: Path | None, lists: dict[str, str | None], single: dict[str, Any], settings: dict[str, str],
    data_settings: dict[str, str],
) -> Axes:  # fmt: skip
    """Put the axes of the command line on top of those of a file."""
    from benchmark.runs.config import parse_toml
    from benchmark.runs.sweeps.axes import flat, make_axes, option_values, setting_name

    values = flat(parse_toml(config), str(config)) if config else {}
    given = {name: option_values(text) for name, text in lists.items() if text is not None}
    given |= {setting_name(name): option_values(text) for name, text in settings.items()}
    given |= {f"data.{name}": option_values(text) for name, text in data_settings.items()}
    values |= given | {name: value for name, value in single.items() if value is not None}
    return make_axes(values, str(config) if config else "the command line")


def _run(
    axes: Axes, folder: Path, engine: Engine, *, orders: list[str], directions: list[str], cluster: bool,
    workers: int | None, fail_fast: bool, redo: Any, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from benchmark.cli.sweep_tables import print_outcome
    from benchmark.cli.sweep_view import sweep_view
    from benchmark.runs.sweeps.claims import axis_values, keep_claims, make_claims
    from benchmark.runs.sweeps.estimate import estimate, fitting_workers, require_disk
    from benchmark.runs.sweeps.local import cores, gpus
    from benchmark.runs.sweeps.outcome import write_outcome
    from benchmark.runs.sweeps.plan import make_plan
    from benchmark.runs.sweeps.sweep import count_states, resume_command, sweep
    from benchmark.runs.sweeps.work import LOG

    plan = make_plan(axes)
    planned = axis_values(outcome.cell for outcome in plan.outcomes)
    claims = make_claims(orders, directions, planned)
    needed = estimate(plan.outcomes)
    cells = [outcome.cell for outcome in plan.of_state("planned")]
    at_once = gpus(cells) if cells else 0
    count = fitting_workers(workers, needed, cores(), at_once, cluster=cluster)
    show_plan(plan, needed, folder, count, as_json=as_json and dry_run, quiet=as_json)
    if dry_run:
        nothing_to_write()
        return
    require_disk(needed, {cell.config.runs for cell in cells})
    claims = keep_claims(folder, claims, planned)
    with sweep_view(len(cells), plan.axes.varied, LOG) as tell:
        result = sweep(axes, folder, engine, workers=count, fail_fast=fail_fast, redo=redo, tell=tell)
    kept = claims.among(axis_values(outcome.cell for outcome in result.outcomes))
    write_outcome(folder, result.outcomes, orders=kept.orders, claims=kept.directions)
    written(folder / "cells.jsonl")
    print_outcome(folder, as_json=as_json)
    if not as_json:
        echo(f"{count_states(result.outcomes)}; states: {folder / 'cells.jsonl'}")
        if result.failed:
            echo(f"run the failed cells again with: {resume_command(folder)}")
    if result.failed:
        raise typer.Exit(EXIT_FAILED)


def show_plan(plan: Plan, needed: Estimate, folder: Path, workers: int, *, as_json: bool, quiet: bool) -> None:
    """Print the cells of a plan, and what they will take."""
    from benchmark.cli.tables import print_json, print_table
    from benchmark.core.progress import to_stderr
    from benchmark.runs.sweeps.sweep import count_states

    if as_json:
        print_json(_plan_json(plan, needed, folder, workers))
        return
    known = _time(needed.seconds, workers) if needed.seconds else ""
    unknown = f"not known for {needed.unknown} cells, of whose model there is no earlier run" if needed.unknown else ""
    lines = [
        f"{len(plan.outcomes)} cells: {count_states(plan.outcomes)}"
        + (f"; {plan.joined} points describe a run that another cell is" if plan.joined else ""),
        f"time: {'; '.join(filter(None, (known, unknown))) or 'none'}",
        f"memory: {_size(needed.peak_bytes)} for the largest cell; disk: {_size(needed.disk_bytes)}",
        f"folder: {folder}",
    ]
    lines += [f"not prepared yet, so that cached cells are not known: {', '.join(plan.unprepared)}"] * bool(
        plan.unprepared
    )
    if quiet:
        for line in lines:
            to_stderr(line)
        return
    names = plan.axes.varied or tuple(plan.axes.values)[:2]
    rows = [
        [
            *(str(outcome.cell.axes[name]) for name in names),
            f"{outcome.state}{f': {outcome.error}' if outcome.error else ''}",
        ]
        for outcome in plan.outcomes[:LISTED]
    ]
    print_table("would be run" if plan.of_state("planned") else "cells", (*names, ""), rows)
    if len(plan.outcomes) > LISTED:
        lines.insert(0, f"... and {len(plan.outcomes) - LISTED} more cells (--dry-run --json lists all)")
    for line in lines:
        echo(line)


def _time(seconds: float, workers: int) -> str:
    from benchmark.cli.sweep_view import duration

    if workers:
        return f"about {duration(seconds / workers)} with {workers} at once"
    return f"about {duration(seconds)} of all cells together, as many at once as the cluster has room for"


def _plan_json(plan: Plan, needed: Estimate, folder: Path, workers: int) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "cells": [
            {"axes": dict(outcome.cell.axes), "state": outcome.state, "error": outcome.error,
             "folder": None if outcome.folder is None else str(outcome.folder)}
            for outcome in plan.outcomes
        ],
        "joined": plan.joined, "unprepared": list(plan.unprepared), "workers": workers, "seconds": needed.seconds,
        "cells_of_unknown_cost": needed.unknown, "peak_bytes": needed.peak_bytes, "disk_bytes": needed.disk_bytes,
    }  # fmt: skip


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size else "not known"
