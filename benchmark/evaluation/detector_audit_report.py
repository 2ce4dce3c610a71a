"""An audit as a table on the terminal and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.files import atomic_write
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
    rows.append(["claims not kept", *broken, f"copies it claims to find, but finds less than {CLAIMED:.0%} of"])
    rows.append(["recall at tau / AUC", *[""] * len(scores), "AUC: copy against nearest neighbour"])
    for kind in kinds(audit):
        cells = [f"{value_text(one[RECALL + kind])} / {value_text(one[AUC + kind])}" for one in scores]
        rows.append([f"  {kind}", *cells, ""])
    return rows


def draw_recall(audit: AuditFile, path: Path) -> None:
    """Save recall as a grid of colours and numbers: kinds of copies down, detectors across."""
    with atomic_write(path) as temporary:
        _figure(audit).savefig(temporary, format="png", dpi=150)


def _figure(audit: AuditFile) -> Figure:
    import numpy as np
    from matplotlib.figure import Figure

    names, rows = list(audit.detectors), kinds(audit)
    values = np.array([[one.scores[RECALL + row].value for one in audit.detectors.values()] for row in rows], float)
    figure = Figure(figsize=(2.2 + 1.1 * len(names), 0.9 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for row, column in np.ndindex(*values.shape):
        dark = values[row, column] < 0.6
        axes.text(
            column, row, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=8,
            color="white" if dark else "black",
        )  # fmt: skip
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_yticks(range(len(rows)), [row.replace("[", " ").rstrip("]") for row in rows], fontsize=8)
    axes.xaxis.tick_top()
    axes.set_title(f"{audit.cohort.name}: share of planted copies found at tau", fontsize=9)
    return figure
