"""Tables of a result: suspects by the names that the user knows, a small HTML summary, a table for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.core.percent import percent

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.api.saved import SavedSet
    from benchmark.runs.audit import Audit

Scores = Mapping[str, Mapping[str, Any]]

PRIVATE = "Private: .suspects names patients, .show() and .to_html() show them."
ROWS = {
    "exposed.patients": "Exposed patients",
    "exposed.items": "Exposed share",
    "exposed.verbatim": "Verbatim copies",
    "withheld.items": "To withhold",
}
"""Scores of each detector that a paper's table has."""
WHOLE = ("exposed.patients", "exposed.verbatim", "withheld.items")
"""Scores that are counts."""


class Listed(NamedTuple):
    """The list to withhold, split by reason."""

    suspects: pd.DataFrame
    not_compared: tuple[int | str, ...]


def listed(audit: Audit, sets: Mapping[str, SavedSet]) -> Listed:
    """Return the suspects of an audit, and what was not compared, by the names that the user knows.

    Images in memory are `index` and `train_index`, files `file` and `train_file`.
    """
    import pandas as pd

    from benchmark.runs.audit_files import NOT_COMPARED, withhold_list

    table = withhold_list(audit)
    synthetic, train = sets["synthetic"], sets["train"]
    unread = table["reason"] == NOT_COMPARED
    suspects = table[~unread].reset_index(drop=True)
    by_patient = suspects["patient"] if "table" in audit.config.options or not train.arrays else None
    for column, saved in (("file", synthetic), ("train_file", train)):
        suspects[column] = pd.Series([saved.name(file) for file in suspects[column]], dtype=object)
        if saved.arrays:
            suspects[column] = suspects[column].astype(int)
    suspects["patient"] = suspects["train_file"] if by_patient is None else by_patient
    columns = {"file": "index"} if synthetic.arrays else {}
    columns |= {"train_file": "train_index"} if train.arrays else {}
    return Listed(suspects.rename(columns=columns), tuple(synthetic.name(file) for file in table.loc[unread, "file"]))


def worst(scores: Scores, score: str) -> Mapping[str, Any]:
    """Return a score of the detector whose share of copies has the largest lower end; empty where there is none."""
    detectors = detectors_of(scores)
    if not detectors:
        return {}
    name = max(detectors, key=lambda name: _rank(scores[f"exposed.items[{name}]"]))
    return scores.get(f"{score}[{name}]", {})


def _rank(share: Mapping[str, Any]) -> tuple[float, float]:
    low = share.get("low")
    return (-1.0 if low is None else low, share.get("value") or 0.0)


def detectors_of(scores: Scores) -> list[str]:
    """Return the detectors that have a share of copies."""
    start = "exposed.items["
    return [name.removeprefix(start).removesuffix("]") for name in scores if name.startswith(start)]


def sentence(summary: Mapping[str, Any]) -> str:
    """Return the sentence of the verdict with detectors without their options, which fill half a line."""
    text = str(summary["verdict"]["sentence"])
    for name in detectors_of(summary["scores"]):
        text = text.replace(name, name.partition(":")[0])
    return text


def html(summary: Mapping[str, Any], suspects: int) -> str:
    """Return what a notebook shows: verdict and numbers; no name and no image."""
    verdict, scores = summary["verdict"], summary["scores"]
    seen = verdict["seen"]
    rows = {
        "share of copies": _text(worst(scores, "exposed.items"), whole=False),
        "exposed patients": _text(worst(scores, "exposed.patients"), whole=True),
        "would be seen": "-" if seen is None else percent(seen),
        "to withhold": str(suspects),
    }
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return (
        f"<div><strong>{escape(verdict['kind'].upper())}</strong>: {escape(sentence(summary))}"
        f"<table>{cells}</table><small>{escape(PRIVATE)}</small></div>"
    )


def latex(summary: Mapping[str, Any]) -> str:
    """Return a booktabs table with one row per detector."""
    import pandas as pd

    scores = summary["scores"]
    rows = [
        {
            "Detector": name.partition(":")[0],
            **{title: _text(scores.get(f"{score}[{name}]", {}), whole=score in WHOLE) for score, title in ROWS.items()},
        }
        for name in detectors_of(scores)
    ]
    text: str = pd.DataFrame(rows).to_latex(index=False, escape=True, caption=_caption(summary))
    return text


def _caption(summary: Mapping[str, Any]) -> str:
    seen = summary["verdict"]["seen"]
    images = f"{summary['synthetic']} synthetic images"
    power = "" if seen is None else f"; a share of {100 * seen:.1f}\\,\\% would have been seen with 95\\,\\% power"
    source = f"memobench, protocol {summary['protocol']}"
    return f"Copies of training images among {images}, with 95\\,\\% intervals{power} ({source})."


def _text(entry: Mapping[str, Any], *, whole: bool) -> str:
    """Return a number with its interval: `0.094 [0.065, 0.115]`, `9 [6, 11]`, or `-` where nobody can tell."""
    value, low, high = (entry.get(name) for name in ("value", "low", "high"))
    if value is None:
        return "-"
    digits = 0 if whole else 3
    if low is None or high is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
