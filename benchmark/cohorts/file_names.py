"""File names in lists and tables, matched to the names of files or items that are there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers import READERS

ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
ENDING = re.compile("(?:" + "|".join(map(re.escape, READERS)) + r")\Z", re.IGNORECASE)

Matcher = Callable[[str], str]
Level = tuple[Matcher, Callable[[], dict[str, list[str]]]]
"""The key of a listed name, and the known names by a key of the same kind, computed when first needed."""


def match_names(
    listed: Mapping[int, str], known: Sequence[str], path: Path, root: Path | None = None
) -> dict[int, str]:
    """Map the line of each listed name to the known name that it means; lines whose name is not there are left out.

    Either slash, `./` in front, the name of the root folder in front and the Unicode form do not matter; nor do the
    case and the ending (of an image file), where only one known name fits. The exact name comes first.

    Args:
        listed: names by line number, as a user wrote them.
        known: paths below the root folder with forward slashes, or names of items.
        path: the list, for messages.
        root: the folder that the known names are below.

    Raises BadDataError where two known names fit equally well.
    """
    exact = set(known)
    levels = _levels(known) if any(name not in exact for name in listed.values()) else []
    pairs = {line: name if name in exact else _match(name, levels, line, path, root) for line, name in listed.items()}
    return {line: name for line, name in pairs.items() if name is not None}


def _levels(known: Sequence[str]) -> list[Level]:
    """Return the ways to compare names, from exact to loose."""
    keys: list[tuple[Matcher, Matcher]] = [
        (_tidy, _tidy),
        (_folded, _folded),
        (_tidy, lambda name: without_ending(_tidy(name))),
        (lambda name: without_ending(_tidy(name)), _tidy),
        (_folded, lambda name: without_ending(_folded(name))),
        (lambda name: without_ending(_folded(name)), _folded),
    ]
    return [(of_listed, cache(partial(_by_key, known, of_known))) for of_listed, of_known in keys]


def _by_key(known: Iterable[str], key: Matcher) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name in known:
        names.setdefault(key(name), []).append(name)
    return names


def _match(name: str, levels: Sequence[Level], line: int, path: Path, root: Path | None) -> str | None:
    for form in _forms(_tidy(name), root):
        for key, names in levels:
            fitting = names().get(key(form), ())
            if len(fitting) > 1:
                raise BadDataError(
                    f"{path} lists {name} in line {line}, which may be {fitting[0]} or {fitting[1]}",
                    "write the whole name, in the same case and with its ending",
                )
            if fitting:
                return fitting[0]
    return None


def _forms(name: str, root: Path | None) -> list[str]:
    """Return a name, and what is left of it below the root folder where it begins with that, or is a whole path."""
    parts = name.split("/")
    own = unicodedata.normalize("NFC", root.resolve().name).casefold() if root else ""
    absolute = ABSOLUTE.match(name)
    below = [
        "/".join(parts[place + 1 :])
        for place, part in enumerate(parts[:-1])
        if own and part.casefold() == own and (place == 0 or absolute)
    ]
    return [name, *([name.lstrip("/")] if name.startswith("/") else []), *below]


def without_ending(name: str) -> str:
    """Return a name without the ending of an image file; other dots belong to the name."""
    bare = ENDING.sub("", name)
    return bare if bare and not bare.endswith("/") else name


def _tidy(name: str) -> str:
    """Return a name with forward slashes, without empty parts and `.`, without spaces around it, in NFC."""
    text = unicodedata.normalize("NFC", name).strip(' \t\r\n\xa0\ufeff\u200b"').replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return ("/" if text.startswith("/") else "") + "/".join(parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", _tidy(name).casefold())
