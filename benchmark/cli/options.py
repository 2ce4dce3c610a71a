"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.echo import echo
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from benchmark.plugins.registry import Card

Model = Annotated[str, typer.Option("--model", "-m", help="Model name (see `bench models`), or ./file.py:Class.")]
Data = Annotated[str, typer.Option("--data", "-d", help="Data set name (see `bench datasets`), or ./file.py:Class.")]
Root = Annotated[Path | None, typer.Option("--root", help="Folder with the data set's files.")]
ImageSize = Annotated[
    int | None, typer.Option("--image-size", help="Pixels (voxels) per side; default: the data set's.")
]
Channels = Annotated[str | None, typer.Option("--channels", help="Some channels only, such as t1,flair.")]
SetData = Annotated[list[str] | None, typer.Option("--set-data", help="Option of the data set: name=value.")]
SplitBy = Annotated[
    str, typer.Option("--split", help="patients (by seed), official (published), or images (marked custom).")
]
GroupPattern = Annotated[
    str | None,
    typer.Option(
        "--group-pattern",
        help="With --data folder, what is a patient: a regular expression, folder, folder:N, none (each image), or of "
        "DICOM files patient-id, study-id.",
    ),
]
COLUMNS_HELP = (
    "What the columns of the table of patients are named: patient=patient_id,file=source_file; also class, site, split."
)
Columns = Annotated[str | None, typer.Option("--columns", help=COLUMNS_HELP)]
Exclude = Annotated[
    Path | None, typer.Option("--exclude", help="CSV of items to leave out, as `bench datasets check --fix` writes.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse where any file would be left out.")]
TrainItems = Annotated[
    int | None, typer.Option("--train-items", help="Train on this many items only; held-out patients stay.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of training and sampling.")]
SplitSeed = Annotated[int, typer.Option("--split-seed", help="Seed that orders the patients before they are split.")]
CACHE_HELP = "Prepared cohorts and detectors (patients' pixels); by default $MEMOBENCH_CACHE, or in your user cache."
Cache = Annotated[Path | None, typer.Option("--cache", help=CACHE_HELP)]


def _set_limit(gib: float | None) -> float | None:
    """Let this process, and those that it starts, read images up to this size. Raises UsageError."""
    if gib is not None:
        from benchmark.images.readers.limits import VARIABLE, limit

        os.environ[VARIABLE] = f"{gib:g}"
        limit()
    return gib


MaxSource = Annotated[
    float | None,
    typer.Option(
        "--max-source-gib",
        callback=_set_limit,
        help="GiB of pixels that one image, volume or series may take; larger ones are left out by name. Default: an "
        "eighth of this machine's memory, at most 8.",
    ),
]
Detectors = Annotated[
    list[str] | None,
    typer.Option("--detector", help="One more detector, such as pixels:foreground=true (see `bench detectors`)."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Batch = Annotated[int, typer.Option("--batch", help="Pairs of prompt and seed at once.")]
SearchTransforms = Annotated[
    str | None,
    typer.Option("--search-transforms", help="Search pixels changed too: flips,rotations,shifts,scales, or some."),
]


def pairs(option: str, texts: list[str] | None) -> dict[str, Any]:
    """Return the name=value texts of an option as a mapping. Raises UsageError."""
    values = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text} is not name=value", f"write {option} steps=500")
        values[name.strip().replace("-", "_")] = value
    return values


def all_detectors(texts: list[str] | None, transforms: str | None) -> tuple[str, ...]:
    """Return the detectors asked for by name, and `pixels` by the best of its views where views were asked for."""
    return (*(texts or ()), *([f"pixels:transforms={transforms}"] if transforms else ()))


def data_pairs(texts: list[str] | None, group_pattern: str | None, columns: str | None = None) -> dict[str, Any]:
    """Return the options of the data set."""
    named = {"group_pattern": group_pattern, "columns": columns}
    return pairs("--set-data", texts) | {name: text for name, text in named.items() if text}


def split_kind(name: str) -> Any:
    """Return the name of a way to split. Raises UsageError."""
    if name not in ("patients", "official", "images"):
        raise UsageError(f"there is no split {name!r}", "choose patients, official or images")
    return name


def warn(problems: tuple[str, ...]) -> None:
    """Print what could not be used on standard error."""
    for problem in problems:
        echo(f"problem: {problem}", err=True)


def public_card(card: Card) -> dict[str, Any]:
    """Return a card for machines, without the places of its code on this disk."""
    return card.model_dump(mode="json", exclude={"folder", "entry"})


def card_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (field, value) rows of a card; what is empty is left out."""
    return [(name, _card_text(value)) for name, value in values.items() if value not in ("", None, [], {}, False)]


def _card_text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_inner_text(inner)}" for name, inner in value.items())
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _inner_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_inner_text(inner)}" for name, inner in value.items() if inner not in (None, {}))
    return str(value)


def plugin(what: str, text: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Return name and options of a model or data set, given as NAME or NAME:option=value. Raises UsageError."""
    from benchmark.core.options import Selection

    if text is None:
        return {"name": None, "options": options}
    selection = Selection.parse(text, what=what)
    return {"name": selection.name, "options": {**selection.options, **options}}
