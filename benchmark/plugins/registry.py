"""Names to cards, and cards to classes. Listing reads TOML only; a plugin is imported when it is used.

Models and data sets have a folder each in `models/` and `datasets/` (of the package and of a checkout), detectors a
card each in `benchmark/detectors/cards/`. Installed packages add to all three by entry points `benchmark.models`,
`benchmark.datasets` and `benchmark.detectors`; your own are `./file.py:Class`. A model of either kind may have its
card.toml next to its file.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import sys
import tomllib
import typing
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import content_key
from benchmark.core.options import suggest
from benchmark.plugins.code_files import folder_files, installed_files, noting_what_is_loaded, own_file

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
"""Class variables of a model of the user's own that say what a card would; they come before those of its card."""
OWN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
"""Fit for a file's name, and for the id of a score: a name that a card next to `./file.py`, or its class, declares."""
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
        try:
            card = _plugin_card(kind, point)
        except AdapterError as error:
            problems.append(error.message)
            continue
        _add(cards, problems, card)
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
    card = _CARDS[kind](name=point.name, entry=point.value, summary=f"from {origin}")
    module = _module_file(point.module) if isinstance(card, ModelCard) else None
    return _described(card, module, point.name) if module and isinstance(card, ModelCard) else card


def _module_file(module: str) -> Path | None:
    """Return the file of a module inside an installed package, without importing it; None for a module alone."""
    first, *inner = module.split(".")
    spec = None
    with suppress(ImportError, ValueError):  # names that an installation has written, not we
        spec = importlib.util.find_spec(first) if inner else None
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places)), *inner).with_suffix(".py") if places else None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0]


def find(kind: Kind, name: str) -> Card:
    """Return the card of a name; for `file.py:Class` of a model the card next to the file, else a bare one.

    Raises UsageError with suggestions, AdapterError for a card next to the file that cannot be used.
    """
    if ".py:" in name:
        path, _, attribute = name.rpartition(":")
        card = _CARDS[kind](name=attribute.lower(), entry=name, summary=f"from {path}")
        return _described(card, Path(path)) if isinstance(card, ModelCard) else card
    cards = listing(kind).cards
    if name not in cards:
        raise UsageError(
            f"there is no {kind[:-1]} named {name!r}",
            f"{suggest(name, cards)}`bench {kind}` lists all; your own: {_OPTION[kind]} ./file.py:Class",
        )
    return cards[name]


def _described(card: ModelCard, module: Path, name: str = "") -> ModelCard:
    """Return the card.toml next to a module that describes the class of a bare card; the bare card where none does.

    The entry stays, and there is no folder: the model is one of the user's own, whose name public files hide
    (`public_names`). `name` replaces that of card.toml. Raises AdapterError for a card.toml that cannot be used.
    """
    file = module.with_name("card.toml")
    if not (module.is_file() and file.is_file()):
        return card
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
        if values.get("entry") != f"{module.stem}:{card.entry.rpartition(':')[2]}":
            return card
        read = ModelCard.model_validate(values | ({"name": name} if name else {}))
        problem = "" if OWN_NAME.fullmatch(read.name) else f"name: {read.name!r} is not small letters, digits, hyphens"
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError, OSError) as error:
        problem = _first_line(error)
    if problem:
        raise AdapterError(f"{file} is not a usable card: {problem}", "fix it, or remove it: a model may have none")
    return read.model_copy(update={"entry": card.entry, "folder": ""})


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
    require_file(card)
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


def require_file(card: Card) -> None:
    """Raise UsageError where the card names a Python file that does not exist."""
    module_name = card.entry.rpartition(":")[0]
    if module_name.endswith(".py") and not Path(module_name).is_file():
        raise UsageError(
            f"there is no file {module_name}", "give the path of a Python file, then a colon and a class name"
        )


def declared(card: ModelCard, given: Mapping[str, Any]) -> ModelCard:
    """Return the card of a model of the user's own, with the `dimensions` and `toy` that its class declares.

    Raises AdapterError for values that a card cannot have.
    """
    if card.folder:
        return card
    try:
        return ModelCard.model_validate(card.model_dump() | dict(given))
    except ValidationError as error:
        raise AdapterError(
            f"{card.name} declares what does not fit: {_first_line(error)}",
            "declare dimensions = (2,), (3,) or (2, 3), and toy = {option: value}, as class variables",
        ) from error


def default_settings(kind: Kind, card: Card) -> dict[str, Any]:
    """Return every option of the class behind a card with its default, as text; `required` where it has none."""
    fields = dataclasses.fields(load_class(kind, card))
    return {field.name: default_of(field) for field in fields if field.init}


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return the default of an option; `required` where it has none."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "required"


def source_files(kind: Kind, card: Card) -> tuple[Path, ...]:
    """Return the files of the code behind a card: all in its folder, of the installed distribution, or `./file.py`."""
    module_name = card.entry.rpartition(":")[0]
    if module_name.endswith(".py"):
        return own_file(Path(module_name))
    if card.folder:
        return folder_files(Path(card.folder))
    return installed_files(kind, module_name)


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
    with noting_what_is_loaded(path):
        spec.loader.exec_module(module)
    return module
