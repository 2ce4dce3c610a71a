"""`bench models` and `bench check`: lists, begins, installs and tries models."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.echo import echo
from benchmark.cli.options import Device, Json, card_rows, pairs, public_card, warn
from benchmark.cli.outcome import written

if TYPE_CHECKING:
    from benchmark.plugins.registry import ModelCard

models_app = App(help="List models, begin one of your own, or install what one needs.", invoke_without_command=True)


@models_app.callback(invoke_without_command=True)
def models_command(context: typer.Context, as_json: Json = False) -> None:
    """List the models: dimensions, abilities, presets."""
    if context.invoked_subcommand:
        return
    from benchmark.cli.tables import print_json, print_table
    from benchmark.plugins.registry import ModelCard, listing

    registered = listing("models")
    cards = [card for card in registered.cards.values() if isinstance(card, ModelCard)]
    warn(registered.problems)
    if as_json:
        print_json([public_card(card) for card in cards])
        return
    rows = [
        (card.name, _dimensions(card), ", ".join(card.abilities), ", ".join(card.presets), card.summary)
        for card in cards
    ]
    print_table("models", ("name", "items", "abilities", "presets", "summary"), rows)


@models_app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="Model name.")], as_json: Json = False) -> None:
    """Print a model's card: paper, licence, abilities, presets with their settings, and every setting's default."""
    from benchmark.adapters.isolation.model_class import ModelClass
    from benchmark.cli.tables import print_json, print_table
    from benchmark.plugins.registry import find_model

    card = find_model(name)
    values = public_card(card) | {"settings": {one.name: one.default for one in ModelClass(card).options}}
    if as_json:
        print_json(values)
    else:
        print_table(name, ("field", "value"), card_rows(values))


@models_app.command("new", writes=True, short_help="Write a model of your own that runs as it is, with its test.")
def new_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name: small letters, digits and hyphens, such as my-model.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where its folder is made; the current folder by default.")
    ] = None,
) -> None:
    """Begin a model of your own: a new folder with an adapter, its card and its test.

    The adapter, a small autoencoder, runs as it is: insert your own network and loss. Files that exist are never
    overwritten. docs/tutorial.md leads from here to a row on a board.
    """
    from benchmark.adapters.new_model import class_name, write_model

    adapter, card, test = write_model(name, out or Path())
    written(adapter, card, test)
    place = adapter if adapter.is_absolute() else f"./{adapter}"
    model = shlex.quote(f"{place}:{class_name(name)}")
    for line in (
        f"{adapter}: the model",
        f"{card}: what lists say of it, and its options by preset",
        f"{test}: a test for pytest",
        f"check it: bench check {model}",
        f"run it:   bench run --model {model} --data phantom-cxr",
    ):
        echo(line)


@models_app.command("install")
def install_command(
    name: Annotated[str, typer.Argument(help="Model name (see `bench models`).")],
    accepted: Annotated[bool, typer.Option("--accept-licence", help="You have read the terms and keep them.")] = False,
) -> None:
    """Fetch the repository that a model needs, with git, once its licence is accepted."""
    from benchmark.plugins.checkouts import install
    from benchmark.plugins.registry import find_model

    echo(f"{name} is installed: {install(find_model(name), accepted=accepted)}")


def check_model_command(
    model: Annotated[str, typer.Argument(help="Model name (see `bench models`), or ./file.py:Class.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Hyper-parameter: name=value.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Run this check alone, such as resumes, after trains; repeatable."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Try whether a model keeps its contract, on toy cohorts; exit code 5 when it does not."""
    from benchmark.adapters.check_model import check_model, conforms, sentences, table_rows
    from benchmark.cli.tables import print_table

    findings = check_model(model, pairs("--set", settings), device=device, only=only or ())
    columns, rows = table_rows(findings)
    print_table(f"{model}: does it keep its contract?", columns, rows)
    for sentence in sentences(findings):
        echo(sentence, keep="\n")
    if not conforms(findings):
        raise typer.Exit(5)


def _dimensions(card: ModelCard) -> str:
    return ", ".join(f"{count}D" for count in card.dimensions)
