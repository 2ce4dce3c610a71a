"""Values of axes as the tables, figures and page of a sweep show them: text that is not public is a digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from benchmark.core.errors import BenchError
from benchmark.core.options import Selection, as_text, converted
from benchmark.core.public_text import free_text_fields, public_options, public_value
from benchmark.detectors.registry import choose
from benchmark.plugins import registry
from benchmark.plugins.public_names import hidden_name, public_name
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
    if name in free_text_fields(_class_of(kind, plugin)):  # a path that is a number is a path
        value = as_text(value)
    return as_text(public_value(name, value)) if isinstance(value, str) else value


def public_detector(selection: Selection) -> str:
    """Return a detector as the ids of its scores name it; a digest of one that does not exist."""
    try:
        return choose(selection).name
    except BenchError:
        return hidden_name(selection.text)


@cache
def public_plugin(kind: Kind, name: str) -> str:
    """Return the public name of a model or data set that a user named; a digest of one that does not exist."""
    try:
        return public_name(kind, registry.find(kind, name), _class_of(kind, name))
    except BenchError:
        return hidden_name(name)


def public_given(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were given to a model or data set, in the types of its fields, as far as they are public.

    Options of a plugin that does not exist, and values that do not fit, are digests.
    """
    cls = _class_of(kind, name)
    try:
        return public_options(converted(cls, dict(options), what=name) if cls else options, cls)
    except BenchError:
        return public_options(options)


def public_selection(kind: Kind, text: str) -> str:
    """Return `NAME:option=value` with a public name and public values."""
    try:
        selection = Selection.parse(text, what=kind)
    except BenchError:
        return hidden_name(text)
    options = public_given(kind, selection.name, selection.options)
    given = [f"{name}={as_text(options[name])}" for name in sorted(options)]
    return ":".join([public_plugin(kind, selection.name), *given])


@cache
def _class_of(kind: Kind, name: str) -> Any:
    try:
        return registry.load_class(kind, registry.find(kind, name))
    except BenchError:
        return None
