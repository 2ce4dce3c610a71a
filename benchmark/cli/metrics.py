"""`bench metrics`: the scores of a record."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.apps import App
from benchmark.cli.options import Json

metrics_app = App(help="List the scores of a record, or show what one means.", invoke_without_command=True)


@metrics_app.callback(invoke_without_command=True)
def metrics_command(context: typer.Context, as_json: Json = False) -> None:
    """List the scores of a record, or show one with `bench metrics show ID`."""
    if context.invoked_subcommand:
        return
    from benchmark.cli.tables import print_json, print_table

    rows = listed()
    if as_json:
        print_json([{"id": name, "meaning": meaning} for name, meaning in rows])
    else:
        print_table("scores", ("id", "meaning"), rows)


@metrics_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(metavar="ID", help="A score's id (see `bench metrics`).")],
    as_json: Json = False,
) -> None:
    """Print what a score is, its value without copying, which way is better, when it fails, and its source."""
    from dataclasses import asdict

    from benchmark.cli.tables import print_json, print_table
    from benchmark.records.definitions import define

    row = define(name)
    if as_json:
        print_json(asdict(row))
        return
    print_table(
        name,
        ("", ""),
        [
            ("is", row.meaning),
            ("better", row.better or "-"),
            ("without copying", row.neutral or "-"),
            ("fails when", row.fails or "-"),
            ("source of the formula", row.source or "-"),
            ("defined with", ", ".join(row.ids)),
            ("chapter", f"{row.section} (docs/metrics.md)"),
        ],
    )


def listed() -> list[tuple[str, str]]:
    """Return (id, meaning) of every score."""
    from benchmark.records.columns import FURTHER, FURTHER_QUALITY, LINES, PROMPTS, QUALITY

    rows = [(f"{line.id}[DETECTOR]", line.meaning) for line in (*LINES, *FURTHER)]
    rows.append(("detector.recall.NAME[DETECTOR]", "share of planted copies found above tau, by transformation"))
    rows.append(("detector.recall_headline.NAME[DETECTOR]", "the same above the threshold of the headline"))
    rows.append(("rule.NAME[DETECTOR]", "the rule published.NAME with a detector that the paper did not use"))
    return [*rows, *((line.id, line.meaning) for line in (*QUALITY, *FURTHER_QUALITY, *PROMPTS))]
