"""Names to cards, and cards to classes. Listing reads TOML only; a plugin is imported when it is used.

Models and data sets have a folder each in `models/` and `datasets/` (of the package and of a checkout), detectors a
card each in `benchmark/detectors/cards/`. Installed packages add to all three by entry points `benchmark.models`,
`benchmark.datasets` and `benchmark.detectors`; your own are `./file.py:Class`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import sys
import tomllib
import typing
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import content_key
from benchmark.core.options import suggest

Kind = Literal["models", "datasets", "detectors"]


class Preset(BaseModel):
    """Named hyper-parameters and budget of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int | None = None
    """Pixels per side for 2D cohorts; none keeps the data set's own."""
    volume_size: int | None = None
    """Voxels per side for 3D cohorts."""
    samples: int = 1000
    set: dict[str, Any] = {}
    """Hyper-parameters."""
    volumes: dict[str, Any] = {}
    """Hyper-parameters that differ for 3D cohorts."""


class Card(BaseModel):
    """A model, data set or detector as the lists show it, without importing it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    entry: str
    """`module:Class`; the module is relative to the card's folder, where it has one."""
    summary: str = ""
    licence: str = ""
    folder: str = ""
    """The folder that holds card.toml and code; empty for what an installed module offers."""


class Checkout(BaseModel):
    """A repository that a model needs, and that this package does not contain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str
    commit: str
    terms: str
    """The uses that its licence allows, in a sentence or two."""


class ModelCard(Card):
    """A model family."""

    paper: str = ""
    dimensions: tuple[int, ...] = (2, 3)
    abilities: tuple[str, ...] = ()
    presets: dict[str, Preset] = {}
    checkout: Checkout | None = None
    toy: dict[str, Any] = {}
    """Hyper-parameters that train in seconds on items of side 16, for `bench check`."""


class DatasetCard(Card):
    """A data set."""

    modality: str = ""
    dimensions: int = 2
    citation: str = ""
    access: str = ""
    layout: str = ""
    channels: tuple[str, ...] = ()
    recipe: str = ""
    traps: tuple[str, ...] = ()
    embedded: bool = False


class DetectorCard(Card):
    """A similarity between two items."""

    paper: str = ""
    needs_file: bool = False
    """Whether it needs weights that the user provides."""


_OPTION: dict[Kind, str] = {"models": "--model", "datasets": "--data", "detectors": "--detector"}
_CARDS: dict[Kind, type[Card]] = {"models": ModelCard, "datasets": DatasetCard, "detectors": DetectorCard}
DECLARED = ("dimensions", "toy")
"""Class variables of a model without card.toml that say what its card would."""
_FOLDERS, _FILES = "*/card.toml", "cards/*.toml"
_PATTERNS: dict[Kind, str] = {"models": _FOLDERS, "datasets": _FOLDERS, "detectors": _FILES}
"""Paths of the cards, below each folder of the package `benchmark.KIND`."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """Cards by name, and one sentence for each card or plugin that could not be used."""

    cards: dict[str, Card]
    problems: tuple[str, ...]


@cache
def listing(kind: Kind) -> Listing:
    """Read all cards of a kind; a broken one becomes a listed problem, never a crash."""
    cards: dict[str, Card] = {}
    problems: list[str] = []
    for path in _card_paths(kind):
        try:
            card = _read_card(kind, path)
        except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError, OSError) as error:
            problems.append(f"{path} is not a usable card: {_first_line(error)}")
            continue
        _add(cards, problems, card)
    for point in entry_points(group=f"benchmark.{kind}"):
        _add(cards, problems, _plugin_card(kind, point))
    return Listing(cards=dict(sorted(cards.items())), problems=tuple(problems))


def _add(cards: dict[str, Card], problems: list[str], card: Card) -> None:
    if card.name in cards:
        problems.append(f"{_place(card)} reuses the name {card.name!r} of {_place(cards[card.name])}: ignored")
    else:
        cards[card.name] = card


def _place(card: Card) -> str:
    return card.folder or card.entry


def _card_paths(kind: Kind) -> list[Path]:
    package = importlib.import_module(f"benchmark.{kind}")
    return sorted(path for place in package.__path__ for path in Path(place).glob(_PATTERNS[kind]))


def _read_card(kind: Kind, path: Path) -> Card:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return _CARDS[kind].model_validate({**values, "folder": str(path.parent) if path.name == "card.toml" else ""})


def _plugin_card(kind: Kind, point: EntryPoint) -> Card:
    origin = point.dist.name if point.dist else "an installed package"
    return _CARDS[kind](name=point.name, entry=point.value, summary=f"from {origin}")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0]


def find(kind: Kind, name: str) -> Card:
    """Return the card of a name, or a bare card for `file.py:Class`. Raises UsageError with suggestions."""
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        return _CARDS[kind](name=_own_name(kind, attribute), entry=name, summary=f"from {path}")
    cards = listing(kind).cards
    if name not in cards:
        raise UsageError(
            f"there is no {kind[:-1]} named {name!r}",
            f"{suggest(name, cards)}`bench {kind}` lists all; your own: {_OPTION[kind]} ./file.py:Class",
        )
    return cards[name]


def _own_name(kind: Kind, attribute: str) -> str:
    """Return the name of a class in a file: its own in small letters, which never is that of a listed card.

    Boards and records show names: a class `LDM` in any file must not pass for the `ldm` of this package.
    """
    name = attribute.lower()
    return f"own-{name}" if name in listing(kind).cards else name


def find_model(name: str) -> ModelCard:
    """Return a model's card. Raises UsageError."""
    card = find("models", name)
    assert isinstance(card, ModelCard)
    return card


def find_dataset(name: str) -> DatasetCard:
    """Return a data set's card. Raises UsageError."""
    card = find("datasets", name)
    assert isinstance(card, DatasetCard)
    return card


def find_detector(name: str) -> DetectorCard:
    """Return a detector's card. Raises UsageError."""
    card = find("detectors", name)
    assert isinstance(card, DetectorCard)
    return card


def load_class(kind: Kind, card: Card) -> type[Any]:
    """Import the class behind a card. Raises AdapterError naming the file or package that failed."""
    module_name, _, attribute = card.entry.rpartition(":")
    if module_name.endswith(".py") and not Path(module_name).is_file():
        raise UsageError(
            f"there is no file {module_name}", "give the path of a Python file, then a colon and a class name"
        )
    try:
        module = _import(kind, card, module_name)
    except Exception as error:
        raise AdapterError(
            f"{card.name} could not be imported: {type(error).__name__}: {error}",
            "install what it needs, or fix it: the rest of memobench works without it",
        ) from error
    if not hasattr(module, attribute):
        raise AdapterError(f"{module_name} has no class {attribute!r}", "check the name behind the colon")
    return typing.cast("type[Any]", getattr(module, attribute))


def declared(card: ModelCard, cls: type[Any]) -> ModelCard:
    """Return the card of a model without card.toml, with the `dimensions` and `toy` that its class declares.

    Raises AdapterError for values that a card cannot have.
    """
    if card.folder:
        return card
    given = {name: getattr(cls, name) for name in DECLARED if hasattr(cls, name)}
    try:
        return ModelCard.model_validate(card.model_dump() | given)
    except ValidationError as error:
        raise AdapterError(
            f"{card.name} declares what does not fit: {_first_line(error)}",
            "declare dimensions = (2,), (3,) or (2, 3), and toy = {option: value}, as class variables",
        ) from error


def default_settings(kind: Kind, card: Card) -> dict[str, Any]:
    """Return every option of the class behind a card with its default, as text; `required` where it has none."""
    fields = dataclasses.fields(load_class(kind, card))
    return {field.name: _default(field) for field in fields if field.init}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "required"


def source_files(kind: Kind, card: Card) -> tuple[Path, ...]:
    """Return the files of the code behind a card: all in its folder, or the one module where it has none."""
    module_name = card.entry.rpartition(":")[0]
    if module_name.endswith(".py"):
        return (Path(module_name),)
    if card.folder:
        return tuple(sorted(Path(card.folder).glob("*.py")))
    spec = importlib.util.find_spec(module_name)
    return (Path(spec.origin),) if spec and spec.origin and spec.origin.endswith(".py") else ()


def _import(kind: Kind, card: Card, module_name: str) -> Any:
    if module_name.endswith(".py"):
        return _import_file(Path(module_name))
    if card.folder:
        return importlib.import_module(f"benchmark.{kind}.{Path(card.folder).name}.{module_name}")
    return importlib.import_module(module_name)


def _import_file(path: Path) -> Any:
    name = f"memobench_file_{path.stem}_{content_key(str(path.resolve()), length=8)}"
    spec = importlib.util.spec_from_file_location(name, path.resolve(strict=True))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
