"""CSV files that spreadsheets open without running what a cell says: the names in them come from outside."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Letters with which spreadsheets take a cell for a formula, or skip to one (OWASP, CSV Injection)."""
NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?%?( \[-?[0-9.]+, -?[0-9.]+\])?|-")
"""Numbers, also with an interval, and the dash that stands for none: they run nothing, and programs read them."""
SEPARATORS = (";", "\t", "|")
"""At these, a spreadsheet in another language would begin a new cell within one that is not in quotation marks."""


def neutral(text: str) -> str:
    """Return a cell's text with an apostrophe in front where a spreadsheet would take it for a formula.

    `restored` returns the text again: one that begins with apostrophes and such a letter gets one more.
    """
    formula = text.lstrip("'").startswith(FORMULA) and not NUMBER.fullmatch(text)
    return f"'{text}" if formula else text


def restored(text: str) -> str:
    """Return what `neutral` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV with a header and without an index; texts are neutral, numbers stay as they are."""
    safe = table.map(_safe).rename(columns=neutral)
    texts = [*safe.columns, *(cell for column in safe for cell in safe[column] if isinstance(cell, str))]
    divided = any(mark in text for text in texts for mark in SEPARATORS)
    return str(safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC if divided else csv.QUOTE_MINIMAL))


def _safe(cell: Any) -> Any:
    return neutral(cell) if isinstance(cell, str) else cell
