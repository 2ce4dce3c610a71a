"""The outcome of a sweep: tables, curves, trend tests and one page, from what became of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import atomic_write
from benchmark.core.options import as_text
from benchmark.core.sealed import require_intact, sealed_write
from benchmark.metrics.trends import Claim
from benchmark.runs.sweeps.axis_trends import AxisTrend, axis_trends
from benchmark.runs.sweeps.cells import CellOutcome, Value
from benchmark.runs.sweeps.public_axes import with_public_axes
from benchmark.runs.sweeps.readings import fill_axes, read
from benchmark.runs.sweeps.tables import cell_table, latex, mean_table, shown_table

if TYPE_CHECKING:
    import pandas as pd

TABLE, MEANS, TRENDS, PAGE, CURVES = "table", "means", "trends", "index.html", "curves"
INCOMPLETE = "* fewer seeds than planned, see the column seeds"


@dataclass(frozen=True)
class Written:
    """The files of an outcome."""

    page: Path
    table: Path
    """One row per cell and detector, Parquet; .csv and .tex have the same name."""
    means: Path
    """One row per setting and detector, means over seeds, in the same three forms."""
    trends: Path
    """One row per trend test, Parquet; a .csv file has the same name."""
    curves: tuple[Path, ...]
    """SVG files; PDF files have the same names."""


def write_outcome(
    folder: Path,
    outcomes: Sequence[CellOutcome],
    *,
    orders: Mapping[str, Sequence[Value]] | None = None,
    claims: Mapping[str, Claim] | None = None,
) -> Written:
    """Write the tables, curves, trend tests and the page of a sweep; files of an earlier outcome are replaced.

    Every cell has its rows, whatever became of it: one that failed, was declined or was not run has the reason in place
    of numbers. Nothing that is written holds an image, a patient, a path, or text that is not listed for the public.

    Args:
        folder: of the outcome.
        outcomes: all cells of the plan, in its order.
        orders: axis -> its values, for axes that are no numbers and are to be tested for a trend in this order.
        claims: axis -> `falls` or `rises`, if that was claimed before the sweep began.

    Raises UsageError for no cells, an axis with the name of a column, or orders and claims that do not fit.
    """
    from benchmark.runs.sweeps.curves import draw_curves
    from benchmark.runs.sweeps.page import write_page

    if not outcomes:
        raise UsageError("this sweep has no cells", "give at least one value to each axis")
    readings, public = with_public_axes(fill_axes([read(outcome) for outcome in outcomes]))
    orders = {axis: [public.get((axis, value), value) for value in order] for axis, order in (orders or {}).items()}
    trends = axis_trends(readings, orders=orders, claims=claims)
    cells, means = cell_table(readings), mean_table(readings)
    curves = draw_curves(readings, folder / CURVES, orders)
    _write_table(folder / TABLE, cells, "All cells of the sweep. Brackets: 95 % intervals.")
    caption = f"Means over seeds. Brackets: 95 % intervals over patients and seeds. {INCOMPLETE}"
    _write_table(folder / MEANS, means, caption)
    tests = trend_table(trends)
    _write_columns(folder / TRENDS, tests)
    page = write_page(folder / PAGE, readings, cells, means, trends, curves)
    return Written(
        page, folder / f"{TABLE}.parquet", folder / f"{MEANS}.parquet", folder / f"{TRENDS}.parquet",
        tuple(curve.path for curve in curves),
    )  # fmt: skip


def trend_table(trends: Sequence[AxisTrend]) -> pd.DataFrame:
    """Return one row per trend test."""
    import pandas as pd

    return pd.DataFrame([_trend_row(one) for one in trends], columns=list(_COLUMNS)).astype(_COLUMNS)


_COLUMNS = {
    "axis": str, "score": str, "detector": str, "model": str, "levels": str, "claim": str, "direction": str,
    "first": float, "last": float, "p": float, "p_adjusted": float, "p_trainings": float, "p_patients": float,
    "least_p": float, "blocks": int, "blocks_planned": int, "answer": str,
}  # fmt: skip


def _trend_row(one: AxisTrend) -> dict[str, object]:
    test, (first, last) = one.test, one.change or (None, None)
    return {
        "axis": one.axis, "score": one.measure, "detector": one.detector, "model": one.model,
        "levels": " < ".join(map(as_text, one.levels)), "claim": one.claim,
        "direction": test.direction if test else "", "first": first, "last": last,
        "p": test and test.p, "p_adjusted": one.adjusted, "p_trainings": test and test.p_trainings,
        "p_patients": test and test.p_patients, "least_p": test and test.least,
        "blocks": one.blocks, "blocks_planned": one.planned, "answer": one.answer,
    }  # fmt: skip


def _write_table(path: Path, table: pd.DataFrame, caption: str) -> None:
    _write_columns(path, table)
    _write_text(path.with_suffix(".tex"), latex(shown_table(table), caption))


def _write_columns(path: Path, table: pd.DataFrame) -> None:
    with sealed_write(path.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)
    _write_text(path.with_suffix(".csv"), table.to_csv(index=False))


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Tables:
    """The tables of an outcome, as `write_outcome` left them."""

    cells: pd.DataFrame
    means: pd.DataFrame
    trends: pd.DataFrame


def read_outcome(folder: Path) -> Tables:
    """Read the tables of an outcome. Raises UsageError where there is none, BadDataError for files cut off."""
    import pandas as pd

    paths = [folder / f"{name}.parquet" for name in (TABLE, MEANS, TRENDS)]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{folder} holds no outcome of a sweep: {missing[0]} is missing", "give the folder of a sweep")
    try:
        return Tables(*(pd.read_parquet(require_intact(path, "run the sweep again")) for path in paths))
    except (OSError, ValueError) as error:
        raise BadDataError(f"the tables in {folder} cannot be read: {error}", "run the sweep again") from error
