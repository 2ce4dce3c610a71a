"""One function per format that makes a text harmless where it is shown: Markdown, HTML, CSV and LaTeX.

Every text of a board passes one of them. Characters that a terminal, an editor or a browser obeys (control characters,
escapes, changes of direction) are shown as `\\x1b` and the like in all four.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmark.core.csv_cells import csv_text
from benchmark.core.progress import printable

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

MARKED = re.compile(r"[\\`*_~$|]|\](?=[(\[:])|(?<=:)/(?=/)|(?<=\bwww)\.|^(?=#|[-+] |\d+[.)] )")
"""What Markdown takes for emphasis, code, a formula, a border of a table, a link, a heading or a list."""
LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
}  # fmt: skip


def shown(text: str) -> str:
    """Return a text in one line, with everything that is obeyed and not shown as an escape."""
    return printable(" ".join(text.split()))


def html(text: str) -> Markup:
    """Return a text as HTML, for element content and quoted attributes."""
    from markupsafe import escape

    return escape(shown(text))


def markdown(text: str) -> str:
    """Return a text as Markdown of one line, for cells of tables too, without HTML, links and emphasis."""
    return MARKED.sub(lambda match: f"\\{match[0]}", str(html(text)))


def latex(text: str) -> str:
    """Return a text as LaTeX, for cells of tables too, by commands that need no package."""
    # Two hyphens in a row would be printed as a dash: --seed has to stay an option.
    return re.sub("-(?=-)", "-{}", "".join(LATEX.get(letter, letter) for letter in shown(text)))


def csv(table: pd.DataFrame) -> str:
    """Return a table as CSV that no spreadsheet takes for formulas."""
    return csv_text(table.map(_shown).rename(columns=shown))


def _shown(cell: object) -> object:
    return shown(cell) if isinstance(cell, str) else cell
