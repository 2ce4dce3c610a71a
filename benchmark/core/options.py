"""Options of models, data sets and detectors: text or values of a file into the fields of a dataclass, or a refusal."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator, model_validator

from benchmark.core.errors import AdapterError, UsageError


class Selection(BaseModel):
    """A plugin with the options given to it, from the command line or from a file.

    `pixels:foreground=true` on a command line and `{name = "pixels", options = {foreground = true}}` in a file mean the
    same. Option values stay as they were given until `build` converts them to the types of the plugin's fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """A name that the lists show, or `./file.py:Class`."""
    options: dict[str, Any] = {}

    @classmethod
    def parse(cls, text: str, *, what: str = "plugin") -> Self:
        """Read NAME, or `./file.py:Class`, with `:option=value` as often as needed.

        Args:
            text: as on the command line; a value holds no colon.
            what: the kind of plugin, for messages.

        Raises:
            UsageError: a part that is no `option=value`, or an option given twice.
        """
        name, *parts = text.split(":")
        if name.endswith(".py") and parts:
            name, parts = f"{name}:{parts[0]}", parts[1:]
        pairs = [part.partition("=") for part in parts]
        if not all(option and equals for option, equals, _ in pairs):
            raise UsageError(f"{what} {text} is not NAME:option=value", "write for example pixels:foreground=true")
        given = [_field_name(option) for option, _, _ in pairs]
        twice = [option for option in given if given.count(option) > 1]
        if twice:
            raise UsageError(f"{what} {text} has the option {twice[0]} twice", "give it once")
        return cls(name=name, options=dict(zip(given, (value for _, _, value in pairs), strict=True)))

    @property
    def text(self) -> str:
        """The same selection as `parse` reads it, with the options in alphabetical order."""
        return ":".join([self.name, *(f"{name}={as_text(self.options[name])}" for name in sorted(self.options))])

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Let a file give the short form, too: `detectors = ["pixels:foreground=true"]`."""
        return dict(cls.parse(value)) if isinstance(value, str) else value

    @field_validator("options")
    @classmethod
    def _field_names(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {_field_name(option): value for option, value in options.items()}


def _field_name(option: str) -> str:
    """Fields are Python names: an option may be written with hyphens, as on the command line."""
    return option.replace("-", "_")


def as_text(value: Any) -> str:
    """Write an option's value as on the command line: `true`, `0.1`, `32,64`."""
    if isinstance(value, list | tuple):
        return ",".join(as_text(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def build(cls: type[Any], settings: dict[str, Any], *, what: str, given_as: str = "--set {}=...") -> Any:
    """Make a model, data set or detector from settings, converted to the types of its fields.

    Args:
        cls: a dataclass.
        settings: values by field name. Text such as "0.1", "true" or "32,64" becomes a float, bool or tuple, and 0.1,
            true or [32, 64] of a file become the same.
        what: the name for messages.
        given_as: how a user gives an option, `{}` being its name, for the message about a missing one.

    Raises:
        UsageError: a name that is no field (with a suggestion), a value that does not fit, or a missing option.
        AdapterError: the class is not a dataclass.
    """
    if not dataclasses.is_dataclass(cls):
        raise AdapterError(
            f"{what} is not a dataclass", "decorate the class with @dataclass: its fields are its options"
        )
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    missing = [name for name, field in fields.items() if is_required(field) and name not in settings]
    if missing:
        example = given_as.replace("{}", missing[0])
        raise UsageError(f"{what} needs {' and '.join(missing)}", f"give it with {example}")
    for name in settings:
        if name not in fields:
            raise UsageError(
                f"{what} has no option {name!r}", f"{suggest(name, fields)}it has: {', '.join(fields) or 'none'}"
            )
    types = _types(cls)
    return cls(**{name: _convert(what, name, types[name], value) for name, value in settings.items()})


def converted(cls: Any, settings: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Return those of these settings that are fields of a dataclass, in the types of the fields. Raises UsageError."""
    types = _types(cls)
    known = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    return {name: _convert(what, name, types[name], value) for name, value in settings.items() if name in known}


def without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Paths name people and hospitals; a public file keeps only that one was given.

    The bare name of a table counts as a path: it is that of a file in the current folder.
    """
    return {name: "(path)" if _is_path(str(value)) else value for name, value in settings.items()}


def _is_path(value: str) -> bool:
    return (
        "/" in value or "\\" in value or re.search(r"[^.]\.(?:csv|tsv|tab|txt)(?:\.gz)?\Z", value.lower()) is not None
    )


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


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Tell whether an option has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def takes_list(cls: type[Any], name: str) -> bool:
    """Whether an option of a dataclass is a list of values, such as widths."""
    return name in getattr(cls, "__dataclass_fields__", {}) and _takes_tuple(typing.get_type_hints(cls)[name])


@functools.cache
def _types(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return pydantic's converter to a type; to make one takes a hundred times as long as to use it."""
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))


def _takes_tuple(kind: Any) -> bool:
    return any(typing.get_origin(part) is tuple for part in (kind, *typing.get_args(kind)))


def _convert(what: str, name: str, kind: Any, given: Any) -> Any:
    value = _textual(given)
    if _takes_tuple(kind) and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UsageError(
            f"{what}: {name}={given!r} does not fit: {reason}", f"{name} is of type {_type_name(kind)}"
        ) from None


def _textual(value: Any) -> Any:
    """Write numbers and booleans as text, inside lists too: a file and a command line then take one way of conversion.

    Left to itself, pydantic would take `true` of a file as the number 1, and refuse the text "true".
    """
    if isinstance(value, list | tuple):
        return [_textual(part) for part in value]
    return as_text(value) if isinstance(value, bool | int | float) else value


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else str(kind)
