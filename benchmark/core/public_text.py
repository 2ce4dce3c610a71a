"""What a public file says of text that somebody typed: a value that the package lists stays, anything else is a digest.

The digest is keyed (HMAC-SHA-256, RFC 2104) with a secret of this account. Names are short: of a plain hash anybody
could find the name by hashing a list of names. Equal text has the same digest wherever the same secret is, so that
runs with equal settings stay one row of a board.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import typing
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.core.progress import to_stderr
from benchmark.core.public_values import PUBLIC_PATTERNS, PUBLIC_VALUES

SECRET_VARIABLE = "MEMOBENCH_SECRET"  # noqa: S105  # the name of a variable
"""Names the file of the secret; machines that share one write equal digests."""
SECRET_BYTES = 32
HIDDEN = re.compile(r"(?:text|own)-[0-9a-f]{8}|\(path\)")
"""Text that is hidden already, also as an older version wrote it."""


def hidden(text: str, start: str = "text") -> str:
    """Return `text-1a2b3c4d`, a keyed digest of a text; a text that is one already stays as it is."""
    if HIDDEN.fullmatch(text):
        return text
    message = text.encode("utf-8", "surrogatepass")
    return f"{start}-{hmac.digest(_secret(secret_file()), message, 'sha256').hex()[:8]}"


def secret_file() -> Path:
    """Return the file of the secret: $MEMOBENCH_SECRET, or memobench's in the user's data folder."""
    if place := os.environ.get(SECRET_VARIABLE):
        return Path(place).absolute()
    import platformdirs

    return platformdirs.user_data_path("memobench", appauthor=False) / "public-text.key"


@cache
def _secret(path: Path) -> bytes:
    """Return the secret of this account; one of this process alone where none can be kept."""
    with suppress(OSError):
        if not path.exists():
            _write_secret(path)
        kept = path.read_bytes()
        if len(kept) == SECRET_BYTES:
            return kept
    # Never one digest for all texts: runs of different settings would be averaged as replicates of one row.
    to_stderr(
        f"{path} cannot be kept as the secret of public digests: text of options has other digests next time; "
        f"name a file that can be written in ${SECRET_VARIABLE}"
    )
    return secrets.token_bytes(SECRET_BYTES)


def _write_secret(path: Path) -> None:
    """Write a new secret that only its owner can read; of two processes that do so at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(temporary, path)  # unlike a renaming, it never replaces the other process's secret
    finally:
        temporary.unlink(missing_ok=True)


def public_options(values: Mapping[str, Any], declared: Mapping[str, Collection[str]] | None = None) -> dict[str, Any]:
    """Return options as a public file may hold them.

    Args:
        values: options by name.
        declared: further public values of some of them (`declared_values`).
    """
    further = declared or {}
    return {name: public_value(name, value, further.get(name, ())) for name, value in values.items()}


def public_value(option: str, value: Any, declared: Collection[str] = ()) -> Any:
    """Return a number, a truth value, nothing, or text that is listed for the option; any other text as a digest.

    Lists are taken value by value. `declared` are more values that the type of the option lists.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [public_value(option, part, declared) for part in value]
    if isinstance(value, Mapping):
        return hidden(json.dumps(value, sort_keys=True, default=str))
    return public_text(option, str(value), declared)


def public_text(option: str, text: str, declared: Collection[str] = ()) -> str:
    """Return text that is listed for an option as it is, also as a list with commas; any other text as a digest."""
    listed = {*PUBLIC_VALUES.get(option, ()), *declared}
    pattern = PUBLIC_PATTERNS.get(option)
    if text in listed or not text or (pattern and pattern.fullmatch(text)):
        return text
    parts = [part.strip() for part in text.split(",")]
    return text if all(part in listed for part in parts) else hidden(text)


@cache
def declared_values(cls: Any) -> dict[str, tuple[str, ...]]:
    """Return field -> the values that its type lists (`Literal["a", "b"]`); fields without a list are left out."""
    try:
        types = typing.get_type_hints(cls)
    except (NameError, TypeError):  # a class whose hints cannot be read declares nothing
        return {}
    listed = {name: tuple(_literals(kind)) for name, kind in types.items()}
    return {name: values for name, values in listed.items() if values}


@cache
def free_text_fields(cls: Any) -> frozenset[str]:
    """Return the names of the fields that are text, of which a class lists no values."""
    try:
        types = typing.get_type_hints(cls) if cls is not None else {}
    except (NameError, TypeError):
        return frozenset()
    return frozenset(name for name, kind in types.items() if kind in (str, tuple[str, ...]))


def _literals(kind: Any) -> Iterable[str]:
    if typing.get_origin(kind) is typing.Literal:
        yield from (value for value in typing.get_args(kind) if isinstance(value, str))
        return
    for part in typing.get_args(kind):
        yield from _literals(part)
