"""`bench detectors`: lists detectors and measures their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.options import (
    Cache,
    Channels,
    Data,
    Device,
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
    card_rows,
    data_pairs,
    public_card,
    split_kind,
    warn,
)  # fmt: skip
from benchmark.cli.outcome import written

detectors_app = App(help="List detectors, or measure their errors.", invoke_without_command=True)


@detectors_app.callback(invoke_without_command=True)
def detectors_command(context: typer.Context, as_json: Json = False) -> None:
    """List the detectors."""
    if context.invoked_subcommand:
        return
    from benchmark.cli.tables import print_json, print_table
    from benchmark.detectors.registry import PROTOCOL_DETECTORS, detector_cards
    from benchmark.plugins.registry import listing

    warn(listing("detectors").problems)
    if as_json:
        print_json(
            [public_card(card) | {"protocol": card.name in PROTOCOL_DETECTORS} for card in detector_cards().values()]
        )
        return
    rows = [
        (card.name, "p2" if card.name in PROTOCOL_DETECTORS else "", card.summary, card.paper)
        for card in detector_cards().values()
    ]
    print_table("detectors", ("name", "protocol", "summary", "source"), rows)


@detectors_app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="Detector name.")], as_json: Json = False) -> None:
    """Print a detector's card, and every option with its default."""
    from benchmark.cli.tables import print_json, print_table
    from benchmark.detectors.registry import PROTOCOL_DETECTORS
    from benchmark.plugins.registry import default_settings, find_detector

    card = find_detector(name)
    values = public_card(card) | {
        "protocol": card.name in PROTOCOL_DETECTORS, "options": default_settings("detectors", card),
    }  # fmt: skip
    if as_json:
        print_json(values)
    else:
        print_table(name, ("field", "value"), card_rows(values))


@detectors_app.command("check", writes=True)
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
    split_seed: SplitSeed = 0,
    out: Annotated[Path, typer.Option("--out", help="Where audits go.")] = Path("audits"),
    device: Device = "auto",
    cache: Cache = None,
    max_source_gib: MaxSource = None,
) -> None:
    """Measure detectors on a cohort: recall of planted copies, false positives, agreement of seeds, speed.

    Exit code 5 where a detector is blind: it misses more than 1 % of unchanged copies.
    """
    from benchmark.cli.tables import print_table
    from benchmark.cohorts.open import DataConfig
    from benchmark.core.files import cache_folder, private_folder
    from benchmark.evaluation.detector_audit_report import table_rows
    from benchmark.evaluation.detector_audit_run import check_detectors

    config = DataConfig(
        name=data, root=root, image_size=image_size, channels=channels,
        options=data_pairs(data_settings, group_pattern), split=split_kind(split), split_seed=split_seed,
        train_items=train_items, exclude=exclude, strict=strict,
    )  # fmt: skip
    audit, folder = check_detectors(
        config, detectors or [], seeds=seeds, device=device, cache=cache_folder(cache), out=private_folder(out)
    )
    written(folder / "audit.json", folder / "audit.png")
    sizes = ", ".join(f"{name} {count} items" for name, count in audit.cohort.items.items())
    print_table(f"detectors on {audit.cohort.name}: {sizes}", ["", *audit.detectors, ""], table_rows(audit))
    echo(f"audit: {folder / 'audit.json'}")
    echo(f"plot: {folder / 'audit.png'}")
    blind = {name: why for name, one in audit.detectors.items() if (why := one.blind())}
    for name, why in blind.items():
        echo(f"REFUSED: {name} is blind on this cohort: {why}")
    if blind:
        raise typer.Exit(5)
