"""Texts of records as pages show them: whoever hands in a record writes them."""

from __future__ import annotations

from markupsafe import Markup, escape

from benchmark.core.progress import printable


def visible(text: str) -> str:
    """Return a text in which whatever a terminal or browser obeys and does not show is an escape, such as `\\x1b`."""
    return text if text.isprintable() else printable(text, keep="\n")


def harmless(text: str) -> Markup:
    """Return a text as HTML, for the content of elements and for attributes in quotation marks."""
    return escape(visible(text))
