"""Pages from templates: everything from a file is escaped, and a page may run its own script and request nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.files import atomic_write
from benchmark.core.progress import printable

if TYPE_CHECKING:
    from jinja2 import Environment

STYLE = ("benchmark.pages", "page.css")


def visible(value: object) -> object:
    """Show control characters, and marks that change the direction of text, in what a template prints.

    Spaces that do not break, soft hyphens and joiners belong to ordinary text.
    """
    if type(value) is not str or value.isprintable():  # what is markup has passed already
        return value
    return printable(value, keep="\n\t\xa0\xad\u200c\u200d\u3000\u2009\u202f")


def environment(package: str, tools: Mapping[str, Any] | None = None) -> Environment:
    """Return the templates of a package, which may extend the shared `page.html`.

    Autoescape is on: a name from a record or a file cannot become markup, and control characters in it are shown.

    Args:
        package: the dotted name of a package with a folder `templates`.
        tools: functions and modules that the templates use.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    loader = ChoiceLoader([PackageLoader(package), PackageLoader("benchmark.pages")])
    templates = Environment(loader=loader, autoescape=True, finalize=visible, trim_blocks=True, lstrip_blocks=True)
    templates.globals.update(tools or {})
    return templates


def head(styles: Sequence[tuple[str, str]], script: str = "") -> dict[str, Any]:
    """Return what `page.html` needs for its head: `style`, `script`, and the `policy` that allows these two only.

    Args:
        styles: (package, file) of style sheets after the shared one.
        script: what the page may run.
    """
    from markupsafe import Markup

    style = "".join(asset(package, name) for package, name in (STYLE, *styles))
    return {
        "style": Markup(style),  # noqa: S704  # our own files
        "script": Markup(script),  # noqa: S704
        "policy": policy(style, script),
    }


def asset(package: str, name: str) -> str:
    """Return a file of a package's `assets`, with line ends as the browser sees them: its digest is in the policy."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def policy(style: str, script: str = "") -> str:
    """Return a content security policy that allows the page's own script, style and images, and no request at all.

    A file name that got into the page as markup could then neither run nor send anything.
    """
    scripts = f"script-src '{_digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; {scripts}base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def write_html(path: Path, html: str) -> Path:
    """Write a page as one file, whole or not at all, and return its path."""
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path
