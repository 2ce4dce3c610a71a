"""`bench run`: all stages of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
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
        show_run(folder)


def show_run(folder: Path) -> None:
    """Print the record of a run folder."""
    from benchmark.cli.tables import print_run
    from benchmark.records.record import Record

    print_run(Record.read(folder / "record.json"), folder)
