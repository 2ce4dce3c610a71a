"""Options of adapters and data sets: text from the command line into the fields of a dataclass, or a refusal."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from benchmark.core.errors import AdapterError, UsageError


def build(cls: type[Any], settings: dict[str, Any], *, what: str) -> Any:
    """Make an adapter or data set from settings whose text values are converted to the fields' types.

    Args:
        cls: a dataclass.
        settings: values by field name; text such as "0.1", "true" or "32,64" becomes a float, bool or tuple.
        what: the name for messages.

    Raises:
        UsageError: a name that is no field (with a suggestion), or a value that does not fit.
    """
    if not dataclasses.is_dataclass(cls):
        raise AdapterError(
            f"{what} is not a dataclass", "decorate the class with @dataclass: its fields are its options"
        )
    types = typing.get_type_hints(cls)
    known = {field.name: types[field.name] for field in dataclasses.fields(cls) if field.init}
    values: dict[str, Any] = {}
    needed = [field.name for field in dataclasses.fields(cls) if field.init and _required(field)]
    missing = [name for name in needed if name not in settings]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}", f"give it with --set {missing[0]}=...")
    for name, value in settings.items():
        if name not in known:
            raise UsageError(
                f"{what} has no option {name!r}", f"{suggest(name, known)}it has: {', '.join(known) or 'none'}"
            )
        values[name] = _convert(what, name, known[name], value)
    return cls(**values)


def without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Paths name people and hospitals; a public file keeps only that one was given."""
    return {name: "(path)" if "/" in str(value) or "\\" in str(value) else value for name, value in settings.items()}


def require_pattern(option: str, text: str, example: str) -> None:
    """Raise UsageError where the text of an option is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(
            f"{option} {text!r} is no regular expression: {error}", f"write such as {example!r}"
        ) from error


def suggest(name: str, known: typing.Iterable[str]) -> str:
    """Return "did you mean ...? " for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _takes_tuple(kind: Any) -> bool:
    return any(typing.get_origin(part) is tuple for part in (kind, *typing.get_args(kind)))


def _convert(what: str, name: str, kind: Any, value: Any) -> Any:
    if isinstance(value, str) and _takes_tuple(kind):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UsageError(
            f"{what}: {name}={value!r} does not fit: {reason}", f"{name} is of type {_type_name(kind)}"
        ) from None


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else str(kind)
