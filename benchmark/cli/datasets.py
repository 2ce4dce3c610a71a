"""`bench datasets`: lists, shows and checks data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.options import (
    Cache,
    Channels,
    Columns,
    Exclude,
    GroupPattern,
    ImageSize,
    Json,
    MaxSource,
    Root,
    SetData,
    SplitBy,
    SplitSeed,
    Strict,
    TrainItems,
    data_pairs,
    public_card,
    split_kind,
    warn,
)  # fmt: skip
from benchmark.cli.outcome import written

datasets_app = App(help="List data sets, or check one.", invoke_without_command=True)


@datasets_app.callback(invoke_without_command=True)
def datasets_command(context: typer.Context, as_json: Json = False) -> None:
    """List the data sets, or check one with `bench datasets check NAME`."""
    if context.invoked_subcommand:
        return
    from benchmark.cli.tables import print_json, print_table
    from benchmark.plugins.registry import DatasetCard, listing

    registered = listing("datasets")
    cards = [card for card in registered.cards.values() if isinstance(card, DatasetCard)]
    warn(registered.problems)
    if as_json:
        print_json([public_card(card) for card in cards])
        return
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


@datasets_app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="Data set name.")]) -> None:
    """Print a data set's card: how to get it, its layout, licence, recipe and traps."""
    from benchmark.cli.tables import print_table
    from benchmark.plugins.registry import find_dataset

    card = find_dataset(name).model_dump(exclude={"folder", "entry"})
    rows = [
        (key, "\n".join(map(str, value)) if isinstance(value, tuple) else str(value)) for key, value in card.items()
    ]
    print_table(name, ("field", "value"), rows)


@datasets_app.command("split", writes=True)
def split_command(
    name: Annotated[str, typer.Argument(help="Data set name.")],
    root: Root = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    data_settings: SetData = None,
    group_pattern: GroupPattern = None,
    columns: Columns = None,
    split: SplitBy = "patients",
    split_seed: SplitSeed = 0,
    train_items: TrainItems = None,
    exclude: Exclude = None,
    out: Annotated[Path, typer.Option("--out", help="Where train.csv and heldout.csv go.")] = Path("splits"),
    cache: Cache = None,
    max_source_gib: MaxSource = None,
) -> None:
    """List the items and patients to train a model on elsewhere, and those to keep from it."""
    from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
    from benchmark.cohorts.training_list import write_split
    from benchmark.core.files import cache_folder, private_folder
    from benchmark.core.progress import to_stderr

    config = DataConfig(
        name=name, root=root, image_size=image_size, channels=channels,
        options=data_pairs(data_settings, group_pattern, columns), split=split_kind(split), split_seed=split_seed,
        train_items=train_items, exclude=exclude,
    )  # fmt: skip
    cohort = open_cohort(config, *build_dataset(config), cache=cache_folder(cache), log=to_stderr)
    name = f"{cohort.name}-{cohort.key[:8]}"
    for path in write_split(private_folder(out, inside=name) / name, cohort):
        written(path)
        echo(f"{path.stem}: {path} (private: it names patients)")
    echo("train on the items of train.csv alone; then: bench run --model ... --trained-on split, same options")


@datasets_app.command("check", writes=True)
def check_command(
    name: Annotated[str, typer.Argument(help="Data set name.")],
    root: Root = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    data_settings: SetData = None,
    group_pattern: GroupPattern = None,
    columns: Columns = None,
    split: SplitBy = "patients",
    train_items: TrainItems = None,
    exclude: Exclude = None,
    strict: Strict = False,
    split_seed: SplitSeed = 0,
    fix: Annotated[bool, typer.Option("--fix", help="Write exclude.csv, which `--exclude` then takes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Where findings, manifest and contact sheet go.")] = Path("checks"),
    cache: Cache = None,
    max_source_gib: MaxSource = None,
    as_json: Json = False,
) -> None:
    """Report duplicates, leaks, odd files and grey levels; exit code 4 when a patient or image is in two splits."""
    from dataclasses import asdict

    from benchmark.cli.tables import print_json, print_table, stdout_for
    from benchmark.cohorts.check.export import write_dossier
    from benchmark.cohorts.check.report import check
    from benchmark.cohorts.check.text import render
    from benchmark.cohorts.locate import locate
    from benchmark.cohorts.open import DataConfig, build_dataset
    from benchmark.core.files import cache_folder, private_folder, require_layout

    options = data_pairs(data_settings, group_pattern, columns)
    config = DataConfig(name=name, root=root, image_size=image_size, channels=channels, options=options)
    card, dataset = build_dataset(config)
    cache = cache_folder(cache)
    require_layout(cache, "cache", ("cohorts", "detectors"))
    with stdout_for(as_json=as_json):
        report, stored, cohort = check(
            card.name, dataset, locate(card, dataset, root=root, cache=cache), cache,
            split_seed=split_seed, train_items=train_items, split=split_kind(split), exclude=exclude, strict=strict,
        )  # fmt: skip
    name = f"{card.name}-{report.key[:8]}"
    paths = write_dossier(private_folder(out, inside=name) / name, report, stored, cohort, fix=fix)
    written(*paths)
    if as_json:
        print_json(asdict(report) | {"ok": report.ok, "files": {path.stem: str(path) for path in paths}})
    else:
        print_table(f"{card.name}: cohort {report.key[:8]}", ("what", "found"), render(report))
        for path in paths:
            echo(f"{path.stem}: {path} (private)")
    if not report.ok:
        raise typer.Exit(4)
