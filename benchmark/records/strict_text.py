"""Texts and names in public files: what a record may hold, so that nothing in it is obeyed or hidden where it is shown.

Names stand in tables, in ids and in messages: letters, digits and few signs, so that none is markup, a path, a formula
or an escape of a terminal. Sentences (reasons, notes) may hold any printable character; `escaping` makes them harmless.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from benchmark.core.progress import printable

LONGEST_NAME = 200
LONGEST_TEXT = 2000
DEEPEST = 6
"""Levels of lists and tables in settings and in the environment."""
NAME = re.compile(r"\w[\w .,:;=()+%-]*")
SCORE_ID = re.compile(r"[a-z][a-z0-9_]*(\.\w+)+(\[\w([\w .,:;=()+%-]|(?<=\d)/(?=\d))*\])?")
DIGEST = re.compile(r"[A-Za-z0-9_-]*")


def one_line(text: str) -> str:
    """Return a text of ours as a record may hold it: one line, printable, at most LONGEST_TEXT characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 4]} ..."


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(text)} characters; at most {LONGEST_TEXT} are shown")
    if printable(text) != text:
        raise ValueError("a text with line ends, control characters or changes of direction")
    return text


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME:
        raise ValueError(f"a name of {len(text)} characters; at most {LONGEST_NAME} are shown")
    if not NAME.fullmatch(text):
        raise ValueError(f"{_short(text)} is no name: it takes letters, digits, spaces and . , : ; = ( ) + % - _")
    return text


def _score_id(text: str) -> str:
    if len(text) > LONGEST_NAME or not SCORE_ID.fullmatch(text):
        raise ValueError(f"{_short(text)} is no id of a score, such as exposed.items[copy]")
    return text


def _digest(text: str) -> str:
    if len(text) > LONGEST_NAME or not DIGEST.fullmatch(text):
        raise ValueError(f"{_short(text)} is no digest: it takes letters and digits")
    return text


def _short(text: str) -> str:
    return repr(printable(text[:40] + ("..." if len(text) > 40 else "")))


def _plain(value: Any) -> Any:
    for place, part in _parts(value, ()):
        if len(place) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists and tables")
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError(f"{'.'.join(place)} is not a finite number")
        if isinstance(part, str):
            _text(part)
        elif part is not None and not isinstance(part, bool | int | float | list | tuple | dict):
            raise ValueError(f"{'.'.join(place)} is of a type that JSON has not")
    return value


def _parts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value below a value with its place, no deeper than one level past DEEPEST."""
    yield place, value
    if len(place) > DEEPEST:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _parts(_name(name), place) if isinstance(name, str) else ()
            yield from _parts(part, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _parts(part, (*place, str(number)))


Name = Annotated[str, AfterValidator(_name)]
"""A model, preset, data set, option, channel or cost."""
Text = Annotated[str, AfterValidator(_text)]
"""A sentence, such as a reason."""
ScoreId = Annotated[str, AfterValidator(_score_id)]
Digest = Annotated[str, AfterValidator(_digest)]
Plain = Annotated[Any, AfterValidator(_plain)]
"""A setting: what JSON can hold, finite, with few levels."""
PathPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""Boards are files named after these: a submitted record must not choose another folder."""
Key = Annotated[str, Field(pattern=r"^[0-9a-z]{1,64}$")]
"""A digest in whole, which names files."""
