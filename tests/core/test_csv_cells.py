"""Names from outside in CSV files: no spreadsheet runs them, and our own code reads them back as they were."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from benchmark.core.csv_cells import csv_text, neutral, restored

FORMULAS = ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''@x", "-Müller", "-"]
HARMLESS = ["a=b.png", "", "'quoted'", "'", "x-1", "-0.5", "+3", "-0.1 [-0.2, 0.1]", "1e-5", "-"]


@pytest.mark.parametrize("text", FORMULAS + HARMLESS)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert restored(neutral(text)) == text


@pytest.mark.parametrize("text", FORMULAS[:-1])
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_other_names_stay_as_they_are(text: str) -> None:
    assert neutral(text) == text


def test_cells_and_names_of_columns_of_a_table_are_neutral_and_numbers_are_numbers() -> None:
    text = csv_text(pd.DataFrame({"=file": ["@a.png", "b.png"], "similarity": [-0.5, float("nan")]}))
    assert text == "'=file,similarity\n'@a.png,-0.5\nb.png,\n"


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_separator_of_another_language_does_not_begin_a_cell(mark: str) -> None:
    text = csv_text(pd.DataFrame({"file": [f"a{mark}=1+1"], "n": [1]}))
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if row]
    assert not any(cell.startswith("=") for row in rows for cell in row)
