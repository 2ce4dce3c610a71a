"""`bench reproduce`: published findings, tried again on your data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.echo import echo
from benchmark.cli.options import Batch, Cache, Data, Device, MaxSource, Root, Seed, SplitSeed, pairs
from benchmark.cli.outcome import written
from benchmark.core.errors import UsageError


def reproduce_command(
    study: Annotated[str, typer.Argument(help="dutt2025.")],
    data: Data = "cxr-pneumonia",
    root: Root = None,
    reports: Annotated[Path | None, typer.Option("--reports", help="Folder with Open-i's indiana_reports.csv.")] = None,
    preset: Annotated[str, typer.Option("--preset", "-p", help="Preset of ldm-text: smoke or small.")] = "smoke",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Hyper-parameter of ldm-text: name=value.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Images per prompt.")] = 8,
    steps: Annotated[int, typer.Option("--steps", help="Steps of DDIM sampling.")] = 20,
    guidance: Annotated[float, typer.Option("--guidance", help="Scale of the guidance.")] = 2.0,
    training: Annotated[bool, typer.Option("--training/--no-training", help="Train with each mitigation too.")] = True,
    batch: Batch = 50,
    seed: Seed = 0,
    split_seed: SplitSeed = 0,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", help="Where results go (private: prompts and images).")] = Path(
        "studies"
    ),
    cache: Cache = None,
    max_source_gib: MaxSource = None,
) -> None:
    """Repeat a published study where the copies are known: does its finding hold here?"""
    from benchmark.cli.tables import print_table
    from benchmark.cohorts.open import DataConfig
    from benchmark.core.files import cache_folder, private_folder
    from benchmark.text2image.studies.plan import Design
    from benchmark.text2image.studies.reproduce import Plan, reproduce
    from benchmark.text2image.studies.tables import tables

    if study != "dutt2025":
        raise UsageError(f"there is no study {study!r}", "choose dutt2025")
    if reports is None:
        raise UsageError("dutt2025 takes its sentences from Open-i's reports", "give --reports FOLDER")
    plan = Plan(seeds=seeds, steps=steps, guidance=guidance, training=training, batch=batch)
    folder, results = reproduce(
        DataConfig(name=data, root=root, split_seed=split_seed), reports, plan, Design(), preset=preset,
        options=pairs("--set", settings), seed=seed, device=device, cache=cache_folder(cache), out=private_folder(out),
    )  # fmt: skip
    written(folder / "dutt2025.json")
    for title, columns, lines in tables(results):
        print_table(title, columns, lines)
    echo(f"results: {folder / 'dutt2025.json'} (no text, no pixels)")
    echo(f"prompts and images: {folder} (private)")
