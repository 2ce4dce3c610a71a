"""Every table that a user gives or that comes with a data set: read as text, or refused with the line."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

import pandas as pd

from benchmark.cohorts.patient_ids import is_missing, is_rounded
from benchmark.cohorts.text_files import OWN, Advice, read_text
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.options import suggest

LONGEST = 24
"""Letters of a column's name that is shown."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}
TITLES = 10
"""The header is one of so many rows: reports have a title above it."""
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|:^~])"?[\s,;|]*', re.IGNORECASE)
"""The first line by which Excel is told the separator."""

Row = tuple[int, list[str]]
"""The number of the line in which a row begins, and its fields."""


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = (), advice: Advice = OWN) -> pd.DataFrame:
    """Read columns of a table as text, and optional ones that are there.

    An empty cell is an empty text; no cell is changed, and none becomes a number. The separator is the one of , ; tab
    and | by which the header has the most of the columns, or that a line `sep=;` names. Names of columns may differ in
    case and in spaces around them. Titles above the header and rows without any content are skipped. The index is the
    number of the line in which a row begins.

    Messages name columns and lines, never what a cell holds.

    Raises MissingDataError where there is no such file. Raises BadDataError where it is no table or lacks a column,
    where a row has more fields than the header or none for one of the columns, and where a quotation mark is not
    closed.
    """
    text = read_text(path, advice)
    header, separator, rows = _opened(path, text, columns, optional)
    if not any(map(_folded, header)):
        raise BadDataError(f"{path} has no names of columns in its first line", advice.columns)
    places = _places(path, header, columns, optional, advice)
    width = max(place for place, name in enumerate(header, 1) if _folded(name))
    lines, kept = [], []
    for line, fields in rows:
        if not any(map(str.strip, fields)) and (len(fields) > 1 or fields[0]):
            continue  # a row of empty cells, as spreadsheets leave them; a lone "" is an empty text
        _require_width(path, line, fields, width, separator, places)
        lines.append(line)
        kept.append(cells := [fields[place] for place in places.values()])
        if any(cell[:1] == " " and cell.lstrip().startswith('"') for cell in cells):
            raise _space_before_quote(path, line)
    if not kept:
        raise BadDataError(f"{path} has no rows", advice.damaged)
    return pd.DataFrame(kept, columns=list(places), index=pd.Index(lines, name="line"), dtype=object)


def require_unique(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise BadDataError where a column names something twice."""
    twice = table[column][table[column].duplicated()]
    if len(twice):
        lines = table.index[table[column] == twice.iloc[0]]
        raise BadDataError(
            f"{path} lists {twice.iloc[0]} twice in column {column}, in lines {lines[0]} and {lines[1]}",
            "keep one row per file",
        )


def require_ids(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise BadDataError where an id is empty, unknown (`nan`, `NA`, `-`), rounded (`1.2E+11`), or has two lines.

    Unknown patients, and those whose numbers were rounded, would otherwise become one patient.
    """
    missing = table.index[table[column].isin([name for name in table[column].unique() if is_missing(name)])]
    if len(missing):
        raise _empty_cell(path, "id", column, missing, "; nan, NA, none, unknown and - count as empty")
    rounded = table.index[table[column].isin([name for name in table[column].unique() if is_rounded(name)])]
    if len(rounded):
        raise BadDataError(
            f"{path} has a rounded number, such as 1.2E+11, in column {column} of line {rounded[0]}: "
            "several patients may have the same",
            "format the column as text in the spreadsheet before numbers are entered or imported, and save it again",
        )
    _require_one_line(table, column, path)


def require_names(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise BadDataError where the name of a file or item is empty or has two lines."""
    missing = table.index[table[column].str.strip() == ""]
    if len(missing):
        raise _empty_cell(path, "name", column, missing)
    _require_one_line(table, column, path)


def _empty_cell(path: Path, what: str, column: str, lines: pd.Index[int], remark: str = "") -> BadDataError:
    more = f", and in {len(lines) - 1} more" if len(lines) > 1 else ""
    return BadDataError(
        f"{path} has no {what} in column {column} of line {lines[0]}{more}",
        f"fill it in, or leave the row out{remark}",
    )


def _require_one_line(table: pd.DataFrame, column: str, path: Path) -> None:
    """Refuse line breaks in names: the sign of a quotation mark that is not closed, and joins rows."""
    broken = table.index[table[column].str.strip().str.contains(r"[\r\n]")]
    if len(broken):
        raise BadDataError(
            f"{path} has a line break in column {column}, in the row that begins in line {broken[0]}",
            "write the cell in one line, and check that each quotation mark before it is closed",
        )


def require_csv(option: str, path: str) -> None:
    """Raise UsageError where an option names a file that is not there."""
    if path and not Path(path).is_file():
        raise UsageError(f"{option} names {path}, which is no file", "give the path of a CSV file")


def _opened(
    path: Path, text: str, columns: Sequence[str], optional: Sequence[str]
) -> tuple[list[str], str, Iterator[Row]]:
    """Return the header, the separator, and the rows below the header."""
    first = text[: re.search(r"[\r\n]|\Z", text).start()]  # type: ignore[union-attr]
    named = SEPARATOR_LINE.fullmatch(first.strip(" \ufeff"))
    names = set(map(_folded, (*columns, *optional)))
    best: tuple[tuple[int, int], list[str], str, Iterator[Row]] | None = None
    refused: BadDataError | None = None
    for separator in [named[1]] if named else SEPARATORS:
        try:
            header, rows = _below_titles(_rows(path, text, separator, skip=1 if named else 0), names, columns)
        except BadDataError as error:
            refused = refused or error
            continue
        score = len(names & set(map(_folded, header))), len(header)
        if best is None or score > best[0]:
            best = score, header, separator, rows
    if best is None:
        assert refused is not None
        raise refused
    return best[1:]


def _below_titles(rows: Iterator[Row], names: set[str], columns: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """Return the header and the rows below it: the first row, or after titles, the first that has the columns."""
    header = next(rows, (1, []))[1]
    if names & set(map(_folded, header)):
        return header, rows
    top = list(islice(rows, TITLES - 1))
    for place, (_, fields) in enumerate(top):
        present = names & set(map(_folded, fields))
        if present.issuperset(map(_folded, columns)) and len(present) > 1:
            return fields, chain(top[place + 1 :], rows)
    return header, chain(top, rows)


def _rows(path: Path, text: str, separator: str, skip: int) -> Iterator[Row]:
    """Yield the rows that are not blank. Raises BadDataError for quotation marks that do not match."""
    lines = io.StringIO(text, newline="")  # CR LF, CR and LF end a line, and stay what they are within quotes
    for _ in range(skip):
        lines.readline()
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        line = skip + reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad_quotes(path, line, skip + reader.line_num, str(error)) from error
        if fields:
            yield line, fields


def _bad_quotes(path: Path, line: int, last: int, why: str) -> BadDataError:
    advice = 'put the whole text in double quotes, and write a quotation mark within it twice: "a ""word"" or two"'
    if "expected after" in why:
        row = f", in the row that begins in line {line}" if last > line else ""
        return BadDataError(f"{path} has text after a closing quotation mark in line {last}{row}", advice)
    return BadDataError(f"{path} opens a quotation mark in line {line} that is not closed", advice)


def _places(
    path: Path, header: list[str], columns: Sequence[str], optional: Sequence[str], advice: Advice
) -> dict[str, int]:
    """Return the place of each column in a row. Raises BadDataError for missing and for ambiguous ones."""
    matches = {name: _matches(header, name) for name in (*columns, *optional)}
    for name, places in matches.items():
        if len(places) > 1:
            numbers = " and ".join(str(place + 1) for place in places)
            raise BadDataError(
                f"{path} has {len(places)} columns named {name}, in places {numbers}",
                "rename all but the one that is meant",
            )
    missing = [name for name in columns if not matches[name]]
    if missing:
        near = suggest(missing[0], filter(None, map(_plain, header))) if advice.suggests else ""
        raise BadDataError(
            f"{path} has no column {' and no '.join(missing)}; it has {_shown(header)}", near + advice.columns
        )
    return {name: places[0] for name, places in matches.items() if places}


def _matches(header: list[str], name: str) -> list[int]:
    """Return the places of a column: of its exact name, else of the same name in another case."""
    exact = [place for place, given in enumerate(header) if _plain(given) == _plain(name)]
    return exact or [place for place, given in enumerate(header) if _folded(given) == _folded(name)]


def _require_width(
    path: Path, line: int, fields: list[str], width: int, separator: str, places: Mapping[str, int]
) -> None:
    """Refuse a row with text beyond the last column that has a name, or without a field for a column that is read."""
    if len(fields) > width and any(map(str.strip, fields[width:])):
        if any(field[:1] == " " and field.lstrip().startswith('"') for field in fields):
            raise _space_before_quote(path, line)
        shown = "tab" if separator == "\t" else f'"{separator}"'
        raise BadDataError(
            f"{path} has {len(fields)} fields in line {line}, and its header {width}",
            f"put the text in double quotes if it contains the separator {shown}, or give each column a name",
        )
    if len(fields) < width and (absent := [name for name, place in places.items() if place >= len(fields)]):
        raise BadDataError(
            f"{path} has {len(fields)} of {width} fields in line {line}, and none for column {absent[0]}",
            "write one line per row, with an empty cell where nothing is known",
        )


def _space_before_quote(path: Path, line: int) -> BadDataError:
    return BadDataError(
        f"{path} has a space before a quotation mark in line {line}",
        "delete the space: a quoted text begins directly after the separator",
    )


def _plain(name: str) -> str:
    """Return the name of a column without spaces, quotation marks and marks of encodings around it."""
    return unicodedata.normalize("NFC", name).strip(' \t\r\n\xa0\ufeff\u200b"')


def _folded(name: str) -> str:
    return " ".join(_plain(name).casefold().split())


def _shown(header: list[str]) -> str:
    """Return names of columns for a message, or how many there are: without a header, a row stands in their place."""
    names = [name.strip() for name in header]
    if names and all(name.isidentifier() and len(name) <= LONGEST for name in names):
        return ", ".join(names[:8])
    return f"{len(names)}, and its first line does not look like names of columns"
