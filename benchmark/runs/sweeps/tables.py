"""The tables of a sweep: one row per cell and detector, and means over seeds. Cells without numbers keep their rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.core.options import as_text
from benchmark.records.board_rows import over_seeds
from benchmark.records.columns import number
from benchmark.records.record import ScoreEntry
from benchmark.runs.sweeps.readings import (
    COSTS,
    MEASURES,
    SEED,
    Measure,
    Reading,
    axes_of,
    detectors_in,
    is_refused,
    short_reason,
)

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.runs.sweeps.cells import State, Value

SIZES = ("n_train_patients", "n_train_items", "n_heldout_patients", "n_samples")
TAKEN = ("cell", "detector", "state", "reason", "note", "verdict", "seeds", "incomplete")
"""Columns that an axis may not be named after; the rest of the table's columns have names that no axis has."""
STATES: tuple[State, ...] = ("failed", "declined", "skipped", "running", "planned")


def column_of(axis: str) -> str:
    """Return the column of an axis: its name, unless a column of the table has it."""
    return f"{axis} (axis)" if axis in TAKEN else axis


def cell_table(readings: Sequence[Reading]) -> pd.DataFrame:
    """Return one row per cell and detector: axes, state and reason, scores with their ends, sizes, cost."""
    import pandas as pd

    rows = [_cell_row(one, detector) for one in readings for detector in one.detectors]
    return _typed(pd.DataFrame(rows), readings)


def _cell_row(reading: Reading, detector: str) -> dict[str, object]:
    entries = {measure: reading.entry(measure, detector) for measure in MEASURES}
    return {
        "cell": reading.outcome.cell.index,
        **{column_of(axis): value for axis, value in reading.axes.items()},
        "detector": detector,
        "state": reading.state,
        "reason": reading.reason or _refusal(entries),
        "verdict": reading.verdict,
        **{name: value for measure, entry in entries.items() for name, value in _ends(measure, entry).items()},
        "planted_recall": reading.recall.get(detector),
        **{name: reading.facts.get(name) for name in (*SIZES, *COSTS)},
        "seconds": reading.outcome.seconds,
        "note": reading.note,
    }


def _refusal(entries: dict[Measure, ScoreEntry | None]) -> str:
    """Return why the headline of a finished cell has no value."""
    entry = next((entry for measure, entry in entries.items() if measure.name == "exposed_share"), None)
    return entry.reason if entry is not None and entry.value is None else ""


def _ends(measure: Measure, entry: ScoreEntry | None) -> dict[str, float | None]:
    """Return value, low and high; nothing, never 0, where there is none."""
    ends = (None, None, None) if entry is None else (entry.value, entry.low, entry.high)
    return dict(zip((measure.name, f"{measure.name}_low", f"{measure.name}_high"), ends, strict=True))


def mean_table(readings: Sequence[Reading]) -> pd.DataFrame:
    """Return one row per setting and detector: means over seeds with intervals over patients and seeds.

    A mean over fewer seeds than were planned is marked: `incomplete` is true, and `seeds` says what became of the
    others. Where a seed was refused there is no mean: it was looked at, and may be the one that copies.
    """
    import pandas as pd

    rows = [
        _mean_row(group, detector)
        for group in groups_of(readings)
        for detector in detectors_in(group)
    ]  # fmt: skip
    return _typed(pd.DataFrame(rows), readings)


def groups_of(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Return the cells that differ in their seed alone, in the order of the plan."""
    groups: dict[tuple[tuple[str, Value], ...], list[Reading]] = defaultdict(list)
    for one in readings:
        groups[one.without(SEED)].append(one)
    return list(groups.values())


def _mean_row(group: Sequence[Reading], detector: str) -> dict[str, object]:
    finished = [one for one in group if one.finished]
    means = {measure: mean_of(group, measure, detector) for measure in MEASURES}
    recalls = [one.recall[detector] for one in finished if detector in one.recall]
    return {
        **{column_of(axis): value for axis, value in group[0].without(SEED)},
        "detector": detector,
        "seeds": seeds_text(group, detector),
        "incomplete": len(finished) < len(group),
        **{name: value for measure, entry in means.items() for name, value in _ends(measure, entry).items()},
        "planted_recall": sum(recalls) / len(recalls) if recalls and len(recalls) == len(finished) else None,
        **{name: _fact(finished, name) for name in SIZES},
        "reason": _refusal(means) or next((one.reason for one in group if one.reason), ""),
        "note": next((one.note for one in group if one.note), ""),
    }


def mean_of(group: Sequence[Reading], measure: Measure, detector: str) -> ScoreEntry | None:
    """Return the mean over the finished seeds; without value where one was refused, None where none is finished."""
    finished = [one for one in group if one.finished]
    entries = [entry for one in finished if (entry := one.entry(measure, detector)) is not None]
    return over_seeds(entries, len(finished), measure.limits) if entries else None


def seeds_text(group: Sequence[Reading], detector: str) -> str:
    """Return how many seeds have a headline, and what became of the others: `3 of 5, 2 failed`."""
    finished = [one for one in group if one.finished]
    refused = [
        short_reason(entry) for one in finished if (entry := one.entry(MEASURES[1], detector)) and is_refused(entry)
    ]
    counts = Counter(one.state for one in group if not one.finished)
    others = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    others += [f"{count} {reason}" for reason, count in Counter(refused).items()]
    return ", ".join([f"{len(finished) - len(refused)} of {len(group)}", *others])


def _fact(finished: Sequence[Reading], name: str) -> float | None:
    values = {one.facts[name] for one in finished if name in one.facts}
    return values.pop() if len(values) == 1 else None


def _typed(table: pd.DataFrame, readings: Sequence[Reading]) -> pd.DataFrame:
    """Make axes of mixed values text, and all numbers float: Parquet takes one type per column."""
    for axis in map(column_of, axes_of(readings)):
        if axis in table and len({type(value) for value in table[axis]}) > 1:
            table[axis] = [as_text(value) for value in table[axis]]
    numbers = [f"{measure.name}{end}" for measure in MEASURES for end in ("", "_low", "_high")]
    for name in (*numbers, "planted_recall", *SIZES, *COSTS):
        if name in table:
            table[name] = table[name].astype("float64")
    return table


def shown_table(table: pd.DataFrame, measures: Sequence[Measure] = MEASURES) -> pd.DataFrame:
    """Return a table of cells or means as people read it: axes, seeds or state, these scores with intervals, all text.

    With fewer scores than all, for a terminal, recall and patients are left out, too.
    """
    import pandas as pd

    last = "incomplete" if "incomplete" in table else "verdict"
    fixed = {name for name in table.columns if name in TAKEN} - {"cell", "detector"}
    heads = [str(name) for name in table.columns[: list(table.columns).index(last)] if name not in fixed | {"cell"}]
    shown = pd.DataFrame({name: [_plain(value) for value in table[name]] for name in heads})
    if "incomplete" in table:
        shown["seeds"] = table["seeds"].to_numpy()
    else:
        shown["state"] = table["state"].to_numpy()
    for measure in measures:
        shown[measure.heading] = [shown_score(row, measure) for row in table.to_dict("records")]
    if len(measures) < len(MEASURES):
        return shown
    shown["planted recall"] = ["" if pd.isna(value) else f"{value:.2f}" for value in table["planted_recall"]]
    shown["train patients"] = ["" if pd.isna(value) else f"{value:.0f}" for value in table["n_train_patients"]]
    return shown


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else as_text(value)


def shown_score(row: Mapping[Hashable, object], measure: Measure) -> str:
    """Return `0.10 [0.06, 0.15]`, a mean over incomplete seeds with ` *` behind it; without a number why."""
    value, low, high = (row[f"{measure.name}{end}"] for end in ("", "_low", "_high"))
    if value is None or value != value:
        return _why_empty(row, measure)
    text = number(float(str(value)), measure.digits)
    if low is not None and low == low and high is not None and high == high:
        text += f" [{number(float(str(low)), measure.digits)}, {number(float(str(high)), measure.digits)}]"
    return text + (" *" if row.get("incomplete") else "")


def _why_empty(row: Mapping[Hashable, object], measure: Measure) -> str:
    """Return the state of a cell without a record, or why a finished one has no number."""
    state = str(row.get("state", ""))
    if state and state not in ("done", "cached"):
        return state
    if str(row.get("seeds", "")).startswith("0 of") and not str(row["reason"]).startswith(("refused", "cannot tell")):
        return "none finished"
    reason = str(row["reason"]).partition(":")[0] if measure.score.startswith("exposed.") else ""
    return reason if reason in ("refused", "cannot tell") else "not scored"


SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def latex(table: pd.DataFrame, caption: str) -> str:
    """Return a table of text as LaTeX (package booktabs)."""
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in table.to_numpy().tolist()]
    head = " & ".join(escape_latex(str(name)) for name in table.columns) + r" \\"
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}", r"\begin{table}", rf"\caption{{{escape_latex(caption)}}}", r"\small",
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}", r"\toprule", head, r"\midrule", *lines,
            r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters written out."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)
