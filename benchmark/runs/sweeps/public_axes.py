"""Values of axes as the tables, figures and page of a sweep show them: text that is not public is a digest."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from benchmark.adapters.isolation.model_class import ModelClass
from benchmark.core.errors import BenchError
from benchmark.core.options import Selection, as_text
from benchmark.core.public_text import declared_values, free_text_fields, public_options, public_value
from benchmark.detectors.registry import choose
from benchmark.plugins import registry
from benchmark.plugins.public_names import declared_name, hidden_name, public_name
from benchmark.plugins.registry import Kind
from benchmark.runs.sweeps.axes import NONE
from benchmark.runs.sweeps.cells import Value
from benchmark.runs.sweeps.readings import Reading

PLUGINS: dict[str, Kind] = {"model": "models", "data": "datasets"}


def with_public_axes(readings: Sequence[Reading]) -> tuple[list[Reading], dict[tuple[str, Value], Value]]:
    """Return readings whose values of axes are public, and what (axis, value) became of each value."""
    public: dict[tuple[str, Value], Value] = {}
    shown = []
    for one in readings:
        cell = one.outcome.cell
        axes = {axis: _public(one, axis, value) for axis, value in cell.axes.items()}
        public |= {(axis, value): axes[axis] for axis, value in cell.axes.items()}
        shown.append(replace(one, outcome=replace(one.outcome, cell=replace(cell, axes=axes))))
    return shown, public


def _public(reading: Reading, axis: str, value: Value) -> Value:
    """Return a number as it is, and text as a record would hold it."""
    config, name = reading.outcome.cell.config, axis.rpartition(".")[2]
    if axis in PLUGINS and value != "":
        return public_selection(PLUGINS[axis], str(value))
    if axis == "detector" and value not in ("", NONE):
        return public_detector(Selection.parse(str(value), what="detector"))
    kind, plugin = ("datasets", config.data.name) if axis.startswith("data.") else ("models", config.model.name)
    if name in _described(kind, plugin).texts:  # a path that is a number is a path
        value = as_text(value)
    return as_text(public_value(name, value)) if isinstance(value, str) else value


def public_detector(selection: Selection) -> str:
    """Return a detector as the ids of its scores name it; a digest of one that does not exist."""
    try:
        return choose(selection).name
    except BenchError:
        return hidden_name(selection.text)


@dataclass(frozen=True)
class Described:
    """What a sweep knows of a model or data set that a user named."""

    name: str
    """Public."""
    listed: Mapping[str, Collection[str]]
    """The texts that the types of its options list."""
    texts: Collection[str]
    """The options that take any text."""


@cache
def _described(kind: Kind, name: str) -> Described:
    """Describe a model, whose process is asked, or a data set; of one that does not exist the name is a digest."""
    try:
        card = registry.find(kind, name)
        if kind == "models":
            model = ModelClass(registry.find_model(name))
            texts = [option.name for option in model.options if option.is_text]
            return Described(public_name(kind, card, model.public_name), model.listed, texts)
        cls: Any = registry.load_class(kind, card)
    except BenchError:
        return Described(hidden_name(name), {}, ())
    return Described(public_name(kind, card, declared_name(cls)), declared_values(cls), free_text_fields(cls))


def public_plugin(kind: Kind, name: str) -> str:
    """Return the public name of a model or data set that a user named; a digest of one that does not exist."""
    return _described(kind, name).name


def public_given(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were given to a model or data set: numbers as numbers, text as far as it is public."""
    plugin = _described(kind, name)
    typed = {option: value if option in plugin.texts else _typed(value) for option, value in options.items()}
    return public_options(typed, plugin.listed)


def _typed(value: Any) -> Any:
    """Return the number, truth value, or list of them that a text is, else the text."""
    if not isinstance(value, str):
        return value
    try:
        parts = [json.loads(part) for part in value.split(",")]
    except ValueError:
        return value
    if not all(isinstance(part, bool | int | float) for part in parts):
        return value
    return parts if len(parts) > 1 else parts[0]


def public_selection(kind: Kind, text: str) -> str:
    """Return `NAME:option=value` with a public name and public values."""
    try:
        selection = Selection.parse(text, what=kind)
    except BenchError:
        return hidden_name(text)
    options = public_given(kind, selection.name, selection.options)
    given = [f"{name}={as_text(options[name])}" for name in sorted(options)]
    return ":".join([public_plugin(kind, selection.name), *given])
