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

    Either slash, `./` in front, the name of the root folder (or its whole path) in front and the Unicode form do not
    matter; nor do the case and the ending (of an image file), where only one known name fits. In a list without any
    folder, a name means the file of that name in whichever folder. The exact name comes first.

    Args:
        listed: names by line number, as a user wrote them.
        known: paths below the root folder with forward slashes, or names of items.
        path: the list, for messages.
        root: the folder that the known names are below.

    Raises BadDataError where two known names fit equally well.
    """
    exact = set(known)
    if all(name in exact for name in listed.values()):
        return dict(listed)
    levels = _levels(known, str)
    if not any("/" in _tidy(name) for name in listed.values()):
        levels += _levels(known, lambda name: name.rpartition("/")[2])
    above = [_folded(part) for part in root.resolve().parts] if root else []
    pairs = {line: name if name in exact else _match(name, levels, line, path, above) for line, name in listed.items()}
    return {line: name for line, name in pairs.items() if name is not None}


def _levels(known: Sequence[str], part: Matcher) -> list[Level]:
    """Return the ways to compare names with a part of the known ones, from exact to loose."""
    keys: list[tuple[Matcher, Matcher]] = [
        (_tidy, _tidy),
        (_folded, _folded),
        (_tidy, lambda name: without_ending(_tidy(name))),
        (lambda name: without_ending(_tidy(name)), _tidy),
        (_folded, lambda name: without_ending(_folded(name))),
        (lambda name: without_ending(_folded(name)), _folded),
    ]
    return [(of_listed, cache(partial(_by_key, known, part, of_known))) for of_listed, of_known in keys]


def _by_key(known: Iterable[str], part: Matcher, key: Matcher) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name in known:
        names.setdefault(key(part(name)), []).append(name)
    return names


def _match(name: str, levels: Sequence[Level], line: int, path: Path, above: Sequence[str]) -> str | None:
    for form in _forms(_tidy(name), above):
        for key, names in levels:
            fitting = names().get(key(form), ())
            if len(fitting) > 1:
                raise BadDataError(
                    f"{path} lists {name} in line {line}, which may be {fitting[0]} or {fitting[1]}",
                    "write the whole name, with its folder and ending and in the same case",
                )
            if fitting:
                return fitting[0]
    return None


def _forms(name: str, above: Sequence[str]) -> list[str]:
    """Return a name, and what is left of it without the folders that the root folder is in, and that folder itself.

    A whole path may come from another machine: there, only the root folder has to have the same name.
    """
    parts = name.split("/")
    folded = [_folded(part) for part in parts]
    absolute = bool(ABSOLUTE.match(name))
    below = [
        "/".join(parts[place:])
        for place in range(1, len(parts))
        if above and (folded[:place] == list(above[-place:]) or (absolute and folded[place - 1] == above[-1]))
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
