"""How every command prints a line: without what a terminal obeys."""

from __future__ import annotations

import typer

from benchmark.core.progress import printable


def echo(text: object = "", *, err: bool = False, keep: str = "") -> None:
    """Print one line on standard output, or standard error; `keep` are control characters that stay, such as line ends.

    Names of files, patients and models may hold escapes that colour, hide or move what a command says.
    """
    typer.echo(printable(str(text), keep=keep), err=err)
