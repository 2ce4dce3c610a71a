"""Remarks and errors of the data set `folder` with the options of `bench audit`, which are named otherwise there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.core.errors import BenchError


def in_audit(text: str) -> str:
    """Return a text that names `--patients` and `each-file` in place of `--group-pattern` and `none`."""
    return text.replace("--group-pattern none", "--patients each-file").replace("--group-pattern", "--patients")


@contextmanager
def audit_words() -> Iterator[None]:
    """Raise errors again with messages that name the options of `bench audit`."""
    try:
        yield
    except BenchError as error:
        error.message, error.hint = in_audit(error.message), in_audit(error.hint)
        raise
