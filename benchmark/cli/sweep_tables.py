"""What `bench sweep` prints of an outcome: means over seeds, trend tests, and the cells without numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.echo import echo
from benchmark.cli.tables import print_json, print_table

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.runs.sweeps.outcome import Tables


def print_outcome(folder: Path, *, as_json: bool = False) -> None:
    """Print the outcome that `write_outcome` left in a folder. Raises UsageError where there is none."""
    from benchmark.runs.sweeps.folder import read_states
    from benchmark.runs.sweeps.outcome import INCOMPLETE, PAGE, read_outcome
    from benchmark.runs.sweeps.readings import MEASURES, notes_of
    from benchmark.runs.sweeps.tables import shown_table

    tables = read_outcome(folder)
    if as_json:
        print_json(outcome_json(tables, folder))
        return
    measures = [measure for measure in MEASURES if measure.name != "copy_rate"]
    varied, common = _without_common(shown_table(tables.means, measures))
    _print(varied, f"means over seeds; {INCOMPLETE}")
    if common:
        echo(f"in all cells: {common}")
    if len(tables.trends):
        _print(_trends(tables.trends), "is there a trend?")
    absent = _absent(with_messages(tables.cells, read_states(folder).values()))
    if len(absent):
        _print(absent, "cells without numbers")
    for note in notes_of(tables.cells.drop_duplicates("cell")["note"].tolist()):
        echo(f"note: {note}")
    echo(f"page: {folder / PAGE}")


def outcome_json(tables: Tables, folder: Path) -> dict[str, Any]:
    """Return the tables for machines; numbers that are missing are null."""
    import json

    names = ("cells", "means", "trends")
    # Through pandas' own JSON: NaN becomes null, which json.dumps would write as NaN.
    values = {name: json.loads(getattr(tables, name).to_json(orient="records")) for name in names}
    return {"folder": str(folder), **values}


def _without_common(shown: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return a table without the axes that have one value in all rows, for which a terminal has no room, and these."""
    axes = list(shown.columns[: list(shown.columns).index("detector")])
    common = [name for name in axes if shown[name].nunique() == 1]
    return shown.drop(columns=common), ", ".join(f"{name}={shown[name].iloc[0]}" for name in common)


def _print(table: pd.DataFrame, title: str) -> None:
    print_table(title, [str(name) for name in table.columns], table.astype(str).to_numpy().tolist())


def _trends(trends: pd.DataFrame) -> pd.DataFrame:
    """Return what is said of each axis; p-values are in the answer, the rest is in trends.csv.

    The direction claimed beforehand decides the test, so that it is shown where there is one.
    """
    pairs = trends[["score", "detector"]].to_numpy()
    by = [f"{score} [{detector}]" if detector else score for score, detector in pairs]
    shown = trends[["axis", "model", "levels", "answer"]].copy()
    shown.insert(1, "score", by)
    if (trends["claim"] != "changes").any():
        shown.insert(len(shown.columns) - 1, "claim", trends["claim"])
    return shown if shown["model"].nunique() > 1 else shown.drop(columns="model")


def with_messages(cells: pd.DataFrame, states: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the table with the messages of failed cells, which are private: only the terminal shows them."""
    messages = {state.get("index"): str(state.get("error") or "") for state in states}
    own = [messages.get(cell) or reason for cell, reason in zip(cells["cell"], cells["reason"], strict=True)]
    return cells.assign(reason=own)


def _absent(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a reason: one per cell where it is the same for all detectors."""
    axes = list(cells.columns[1 : list(cells.columns).index("detector")])
    return cells.loc[cells["reason"] != "", [*axes, "state", "reason"]].drop_duplicates()
