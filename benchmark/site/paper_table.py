"""One board as a table for a paper or a document: LaTeX, Markdown or CSV.

The rows, ranks and numbers are those of the board's page. A cell that needs an explanation has a letter, and the letter
a note below the table; CSV has the explanations in a last column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark import __version__
from benchmark.core.errors import UsageError
from benchmark.records import escaping
from benchmark.records.leaderboard import markdown_row
from benchmark.records.ranges import limits_of
from benchmark.site.board import Board
from benchmark.site.metrics import SHORT
from benchmark.site.paper_columns import Cell, Column, columns_of

MINUS = re.compile(r"(?<![\w.])-(?=\d)")
INTERVALS = "Brackets: 95 % interval over patients and samples; with several seeds it includes the spread between them."
RANKS = "Equal ranks cannot be told apart. A row without a rank does not answer the question: it is no first place."
BLIND = "The positive control shows no copies although it has some: no row is an all-clear."


@dataclass(frozen=True)
class Table:
    """A board in the columns that were asked for."""

    board: Board
    columns: Sequence[Column]

    @cached_property
    def groups(self) -> list[list[list[Cell]]]:
        """The cells of each row: models, then controls, then rows without numbers."""
        board = self.board
        parts = (board.models, board.controls, [*board.absent, *board.withdrawn])
        return [[[column.read(one) for column in self.columns] for one in part] for part in parts if part]

    @cached_property
    def letters(self) -> dict[str, str]:
        """Remark -> its letter, in the order of the cells."""
        rows = [row for group in self.groups for row in group]
        remarks = dict.fromkeys(remark for row in rows for cell in row for remark in cell.remarks)
        return {remark: _letter(number) for number, remark in enumerate(remarks)}

    @property
    def caption(self) -> str:
        """Cohort, protocol, digest, grid and sizes."""
        return f"{self.board.name}: {self.board.subtitle}"

    @property
    def notes(self) -> list[str]:
        """What the columns are, what the marks mean, and what is wrong with the board."""
        scored = [column for column in self.columns if column.score]
        notes = [*_warnings(self.board), *(_about(column, self.board) for column in scored)]
        notes += [INTERVALS] if scored else []
        notes += [RANKS] if any(column.heading == "rank" for column in self.columns) else []
        return [*notes, *(f"({letter}) {remark}" for remark, letter in self.letters.items())]

    def marked(self, cell: Cell) -> str:
        """Return a cell's text with the letters of its remarks."""
        letters = ", ".join(self.letters[remark] for remark in cell.remarks)
        return f"{cell.text} ({letters})" if letters else cell.text


def _warnings(board: Board) -> list[str]:
    """Return what the controls say against the whole board, as its page does above the table."""
    warnings = [BLIND] if board.blind else []
    if board.heldout and board.heldout[2] < board.heldout[3]:
        holding, rows = board.heldout[2:]
        warnings.append(
            f"The control of held-out patients does not hold 0 in {rows - holding} of {rows} rows; at most 5 % of the "
            "rows should do so by chance."
        )
    return warnings


def _letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    return ("" if number < 26 else _letter(number // 26 - 1)) + chr(ord("a") + number % 26)


def _about(column: Column, board: Board) -> str:
    """Return what a score is, which way is better, and how many samples or patients are behind it."""
    scores = [score for one in board.entries if (score := one.row.entry(column.score, limits_of(column.score)))]
    better = {score.direction for score in scores} - {"none"}
    counts = sorted({score.n for score in scores if score.n is not None})
    parts = [SHORT.get(column.score.partition("[")[0], "")]
    parts += [f"{way} is better" for way in better]
    parts += [f"n = {counts[0]}" if len(counts) == 1 else f"n from {counts[0]} to {counts[-1]}"] if counts else []
    return f"{column.heading} ({column.score}): {'; '.join(filter(None, parts)) or 'not in any record'}."


def table_text(board: Board, columns: str | None = None, style: str = "markdown") -> str:
    """Return a board as text that ends with a line end.

    Args:
        board: one cohort under one protocol.
        columns: ids with commas between them (`paper_columns.columns_of`).
        style: `latex`, `markdown` or `csv`.

    Raises UsageError for a column or a style that does not exist.
    """
    return style_of(style)(Table(board, columns_of(board, columns)))


def style_of(style: str) -> Callable[[Table], str]:
    """Return what writes a format. Raises UsageError."""
    if style not in STYLES:
        raise UsageError(f"there is no format {style!r} for a table", f"choose {', '.join(STYLES)}")
    return STYLES[style]


def _latex(table: Table) -> str:
    align = "".join("r" if column.is_number else "l" for column in table.columns)
    groups = [[_latex_row(table, row) for row in group] for group in table.groups]
    lines = [
        "% \\usepackage{booktabs}",
        f"% made by: bench leaderboard table, memobench {__version__}",
        "\\begin{table}",
        f"\\caption{{{escaping.latex(table.caption)}}}",
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
        _latex_line([escaping.latex(column.heading) for column in table.columns]),
        *(line for group in groups for line in ("\\midrule", *group)),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"\\par\\footnotesize {escaping.latex(note)}" for note in table.notes),
        "\\end{table}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _latex_row(table: Table, row: Sequence[Cell]) -> str:
    cells = [escaping.latex(table.marked(cell)) for cell in row]
    numbers = [column.is_number for column in table.columns]
    return _latex_line(
        [MINUS.sub("$-$", cell) if is_number else cell for cell, is_number in zip(cells, numbers, strict=True)]
    )


def _latex_line(cells: Sequence[str]) -> str:
    """Return a row; after the `\\\\` of the row before, LaTeX takes `[` and `*` for an argument of that."""
    start = "{}" if cells[0].startswith(("[", "*")) else ""
    return f"{start}{' & '.join(cells)} \\\\"


def _markdown(table: Table) -> str:
    align = ["---:" if column.is_number else "---" for column in table.columns]
    rows = [[table.marked(cell) for cell in row] for group in table.groups for row in group]
    lines = [
        markdown_row([column.heading for column in table.columns]),
        f"| {' | '.join(align)} |",
        *(markdown_row(row) for row in rows),
        "",
        escaping.markdown(table.caption),
        "",
        *(f"- {escaping.markdown(note)}" for note in table.notes),
    ]
    return "".join(f"{line}\n" for line in lines)


def _csv(table: Table) -> str:
    import pandas as pd

    rows = [row for group in table.groups for row in group]
    cells = [[cell.text for cell in row] for row in rows]
    names = [column.heading for column in table.columns]
    if table.letters:
        names.append("remarks")
        remarks = [dict.fromkeys(remark for cell in row for remark in cell.remarks) for row in rows]
        cells = [[*texts, "; ".join(told)] for texts, told in zip(cells, remarks, strict=True)]
    return escaping.csv(pd.DataFrame(cells, columns=names))


STYLES: dict[str, Callable[[Table], str]] = {"latex": _latex, "markdown": _markdown, "csv": _csv}
