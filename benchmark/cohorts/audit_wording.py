"""Remarks and errors of the data set `folder` with the options of `bench audit`, which are named otherwise there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.core.errors import BenchError

NAMES = {
    "--group-pattern none": "--patients each-file",
    "--group-pattern": "--patients",
    "group_pattern ": "--patients ",
    "table names ": "--patients names ",
    "widen it, or choose --set-data ending": "widen it, or --patients each-file if each image is of another patient",
}
"""What the data set says, and what an audit says in its place; the longer ones come first."""


def in_audit(text: str) -> str:
    """Return a text that names `--patients` and `each-file` in place of `--group-pattern` and `none`."""
    for there, here in NAMES.items():
        text = text.replace(there, here)
    return text


@contextmanager
def audit_words() -> Iterator[None]:
    """Raise errors again with messages that name the options of `bench audit`."""
    try:
        yield
    except BenchError as error:
        error.message, error.hint = in_audit(error.message), in_audit(error.hint)
        raise
