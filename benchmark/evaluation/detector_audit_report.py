"""An audit as a table on the terminal and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.files import atomic_write
from benchmark.core.percent import percent
from benchmark.records.columns import value_text, with_interval
from benchmark.records.detector_audits import AUC, CLAIMED, RECALL, AuditFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = (
    ("detector.false_positives", "false positives", "test patients' items above tau; tau allows 5 %"),
    ("detector.same_patient", "same patient", "items above tau with another item of their patient: not copies"),
    ("detector.tau", "tau", "the 0.95 conformal quantile of calibration items against train"),
    ("detector.recall_mean", "mean recall", "over all kinds and strengths below; ends: worst and best seed"),
    ("detector.agreement", "agreement of seeds", "share of copies and test items that all seeds judge alike"),
    ("detector.embed_seconds", "s per 1,000 items", "embedding"),
    ("detector.pair_seconds", "s per million pairs", "comparing embedded items"),
)


def kinds(audit: AuditFile) -> list[str]:
    """Return the names of all copies, `rotate[15 deg]`, in the order they were made."""
    first = next(iter(audit.detectors.values())).scores
    return [name[len(RECALL) :] for name in first if name.startswith(RECALL)]


def table_rows(audit: AuditFile) -> list[list[str]]:
    """Return one row per score and per kind of copy (`recall / AUC`), one column per detector."""
    scores = [one.scores for one in audit.detectors.values()]
    rows = [[heading, *(with_interval(one.get(name)) for one in scores), meaning] for name, heading, meaning in LINES]
    broken = [", ".join(one.broken()) or "none" for one in audit.detectors.values()]
    rows.append(["claims not kept", *broken, f"copies it claims to find, but finds less than {percent(CLAIMED, 0)} of"])
    rows.append(["recall at tau / AUC", *[""] * len(scores), "AUC: copy against nearest neighbour"])
    for kind in kinds(audit):
        cells = [f"{value_text(one[RECALL + kind])} / {value_text(one[AUC + kind])}" for one in scores]
        rows.append([f"  {kind}", *cells, ""])
    return rows


def draw_recall(audit: AuditFile, path: Path) -> None:
    """Save recall and AUC as a grid: kinds of copies down, detectors across, coloured by recall."""
    with atomic_write(path) as temporary:
        _figure(audit).savefig(temporary, format="png", dpi=150)


def _figure(audit: AuditFile) -> Figure:
    import numpy as np
    from matplotlib.figure import Figure

    names, rows = list(audit.detectors), kinds(audit)
    scores = [detector.scores for detector in audit.detectors.values()]
    recall, areas = (
        np.array([[one[what + row].value for one in scores] for row in rows], float) for what in (RECALL, AUC)
    )
    figure = Figure(figsize=(2.4 + 1.3 * len(names), 1.2 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(recall, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for row, column in np.ndindex(*recall.shape):
        dark = not recall[row, column] >= 0.6
        axes.text(
            column, row, f"{recall[row, column]:.2f} / {areas[row, column]:.2f}", ha="center", va="center", fontsize=8,
            color="white" if dark else "black",
        )  # fmt: skip
    axes.set_xticks(range(len(names)), [name.replace(":", "\n") for name in names], fontsize=8)
    axes.set_yticks(range(len(rows)), [row.replace("[", " ").rstrip("]") for row in rows], fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([i - 0.5 for i in _first_of_kinds(rows)[1:]], minor=True)
    axes.grid(axis="y", which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.suptitle(f"{audit.cohort.name}: planted copies\nrecall at 5 % false positives / AUC", fontsize=9)
    return figure


def _first_of_kinds(rows: list[str]) -> list[int]:
    """Return where each kind of copy begins, so that a line is drawn above it."""
    kind = [row.partition("[")[0] for row in rows]
    return [i for i in range(len(kind)) if i == 0 or kind[i] != kind[i - 1]]
