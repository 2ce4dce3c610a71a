"""Progress of long jobs: a bar on a terminal, a line every 15 seconds elsewhere, nothing after `bench --quiet`."""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

EVERY_SECONDS = 15.0
Log = Callable[[str], None]
"""Takes a line of text for the user."""


def quiet() -> bool:
    """Whether this process, or the one that started it, was called with --quiet."""
    return bool(os.environ.get("BENCH_QUIET"))


@contextmanager
def silent() -> Iterator[None]:
    """While it lasts, print no progress: neither this process nor those that it starts."""
    before = os.environ.get("BENCH_QUIET")
    os.environ["BENCH_QUIET"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["BENCH_QUIET"]
        else:
            os.environ["BENCH_QUIET"] = before


def to_stderr(text: str) -> None:
    """Print one line on standard error, unless quiet."""
    if not quiet():
        sys.stderr.write(f"{printable(text)}\n")


def printable(text: str, keep: str = "") -> str:
    """Return a text with what a terminal obeys as escapes, except the characters in `keep`.

    Names of files may hold line ends, colours and changes of direction, which can hide or imitate what a command says.
    """
    if text.isprintable():  # nothing but these categories is left out there; boards have 100,000 texts
        return text
    plain = {letter for letter in set(text) if letter == " " or unicodedata.category(letter)[0] not in "CZ"}
    return "".join(letter if letter in plain or letter in keep else ascii(letter)[1:-1] for letter in text)


class Advance(Protocol):
    """Call it after each piece of work."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Report that `steps` more are done; `note` (a loss, a file) is shown after the bar."""


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show `label`, steps done of total and time left, on standard error."""
    if quiet():
        yield lambda steps=1, note="": None
    elif sys.stderr.isatty():
        with _bar(label, total, done) as advance:
            yield advance
    else:
        yield _lines(label, total, done)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # A name in brackets would be taken for a colour.
    label_column, note_column = (
        TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[note]}")
    )
    columns = (label_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, note_column, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(label), total=total, completed=done, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=printable(note))

        yield advance


def _lines(label: str, total: int, done: int) -> Advance:
    started = shown = time.monotonic()
    first, count = done, done

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal shown, count
        count += steps
        now = time.monotonic()
        if now - shown >= EVERY_SECONDS:
            shown = now
            left = f", {(now - started) / (count - first) * (total - count):.0f} s left" if count > first else ""
            text = f"{label}: {count}/{total}{left}{', ' + note if note else ''}"
            print(printable(text), file=sys.stderr, flush=True)  # noqa: T201

    return advance
