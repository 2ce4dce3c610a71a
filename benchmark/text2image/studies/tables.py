"""The study's results as tables for the terminal; they contain no text of prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.text2image.mitigate import COLUMNS, Effect, rows
from benchmark.text2image.summary import value_with_ends

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """Yield (title, columns, rows) of each table."""
    yield (
        f"{results['prompts']} prompts, {results['memorised']} memorised by their images",
        ("detector", "AUC", "TPR at 1 % FPR", "AUC of the repeated prompts"),
        [
            (
                name,
                value_with_ends(scores["auc"]),
                value_with_ends(scores["tpr_at_1_fpr"]),
                value_with_ends(results["planned"][name]["auc"]),
            )
            for name, scores in results["detectors"].items()
        ],
    )
    yield (
        "captions by kind",
        ("group", "markers", "prompts", "memorised", "copied images", "median d_mem", "length-adjusted", "tokens"),
        [
            (
                cell["group"], "yes" if cell["marked"] else "no", str(cell["prompts"]), str(cell["memorised"]),
                f"{cell['copied']:.2f}", f"{cell['d_mem']:.2f}", f"{cell['adjusted']:.2f}", f"{cell['tokens']:.0f}",
            )
            for cell in results["cells"]
        ],
    )  # fmt: skip
    yield (
        "markers among the top prompts, and length",
        ("ranked by", "share of markers in top / others", "rank correlation with length"),
        [
            (name, value_with_ends(value["ratio"]), _number(results["length_correlation"][name]))
            for name, value in results["enrichment"].items()
        ],
    )
    for key, title in (("mitigations", "mitigations in sampling"), ("training", "mitigations in training")):
        if key in results:
            yield title, COLUMNS, rows({name: Effect(**effect) for name, effect in results[key].items()})


def _number(value: float | None) -> str:
    return "none: one side is constant" if value is None else f"{value:.2f}"
