"""Publishable aggregates of the scores of prompts: counts, quantiles, length, markers. No text and no digest of one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from benchmark.core.public_text import hidden
from benchmark.metrics.prompts import Enrichment, constant, enrichment, rank_correlation, separation
from benchmark.text2image.detect import FURTHER
from benchmark.text2image.markers import MARKER
from benchmark.text2image.options import OutlierRule, PromptSampling

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
NO_SCORES = ("count", "tokens", "per_root_size")
"""Columns that are not scores of memorisation, or that rank prompts as d_mem does."""


def summarise(
    scores: pd.DataFrame, sampling: PromptSampling, outlier_rule: OutlierRule, *, blind: int = 0
) -> dict[str, Any]:
    """Return aggregates of the scores, one row per prompt, that may be published: no text and no digest of a text.

    `blind` is the number of first steps at zero SNR, for which `first` is of the network's own output.
    """
    both = ("d_mem", "adjusted")
    summary = {
        "prompts": len(scores),
        "repeated": int((scores["count"] > 1).sum()),
        "marked": int(scores["marked"].sum()),
        "cut": int((scores["seen"] < scores["tokens"]).sum()),
        "first_of": "output" if blind else "noise",
        "cannot_rank": [name for name in _score_names(scores) if constant(scores[name].to_numpy())],
        "pass": asdict(sampling),
        "rule": asdict(outlier_rule) | {"marker": public_marker(outlier_rule.marker)},
        "quantiles": {
            column: {
                str(q): float(value) for q, value in zip(QUANTILES, np.quantile(scores[column], QUANTILES), strict=True)
            }
            for column in ("d_mem", "first", "per_root_size", "adjusted", "tokens", "seen")
        },
        "length_correlation": {
            column: rank_correlation(scores[column].to_numpy(), scores["seen"].to_numpy()) for column in both
        },
        "outliers": {column: int(scores[f"{column}_outlier"].sum()) for column in both},
        "enrichment": {column: asdict(_enrichment(scores, column)) for column in both},
    }
    further = {name: _further(scores, name) for name in (*FURTHER, "seeds") if name in scores}
    return (
        summary
        | ({"further": further} if further else {})
        | ({"separation": _separations(scores)} if "positive" in scores else {})
    )


def _further(scores: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return median, 1 % and 99 % quantile of a score, and its rank correlation with d_mem."""
    values = scores[name].to_numpy()
    low, median, high = (float(value) for value in np.quantile(values, (0.01, 0.5, 0.99)))
    correlation = rank_correlation(values, scores["d_mem"].to_numpy())
    return {"0.01": low, "0.5": median, "0.99": high, "correlation_with_d_mem": correlation}


def further_rows(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return (score, median, 1 % to 99 % quantile, rank correlation with d_mem) rows of what --further computed."""
    return [
        (
            name,
            f"{one['0.5']:.4g}",
            f"{one['0.01']:.4g} to {one['0.99']:.4g}",
            _number(one["correlation_with_d_mem"]),
        )
        for name, one in summary["further"].items()
    ]


def public_marker(marker: str) -> str:
    """Return the default marker as it is and any other as a keyed digest: it may contain names of patients."""
    return marker if marker == MARKER else hidden(marker)


def public_pipeline(identity: str) -> str:
    """Return the digest of a pipeline's files as it is, and a hub id, which names an account, as a keyed digest."""
    return identity if re.fullmatch("[0-9a-f]{16}", identity) else hidden(identity)


def _separations(scores: pd.DataFrame) -> dict[str, Any]:
    """Return how well each score separates the positive prompts of the list from the others."""
    positive = scores["positive"].to_numpy()
    by_name = {name: separation(scores[name].to_numpy(), positive) for name in _score_names(scores)}
    return {name: {key: asdict(score) for key, score in scores.items()} for name, scores in by_name.items()}


def _score_names(scores: pd.DataFrame) -> list[str]:
    return [str(name) for name in scores.select_dtypes("number") if name not in NO_SCORES]


def _enrichment(scores: pd.DataFrame, column: str) -> Enrichment:
    return enrichment(scores["marked"].to_numpy(), scores[f"{column}_outlier"].to_numpy())


def rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (quantity, of d_mem, of length-adjusted d_mem) rows for a table on the terminal."""
    columns: tuple[str, ...] = ("d_mem", "adjusted")

    def both(value: Callable[[str], str]) -> tuple[str, str]:
        first, second = (value(column) for column in columns)
        return first, second

    return [
        ("rows of the list", str(summary["rows"]), ""),
        ("  empty, left out", str(summary["empty"]), ""),
        ("different prompts", str(summary["prompts"]), ""),
        ("  repeated in the list", str(summary["repeated"]), ""),
        ("  with a marker", str(summary["marked"]), ""),
        ("  cut by the tokenizer", str(summary["cut"]), ""),
        ("median", *both(lambda column: f"{summary['quantiles'][column]['0.5']:.4g}")),
        ("99 % quantile", *both(lambda column: f"{summary['quantiles'][column]['0.99']:.4g}")),
        ("rank correlation with length", *both(lambda column: _number(summary["length_correlation"][column]))),
        ("outliers", *both(lambda column: str(summary["outliers"][column]))),
        ("marker: share in outliers / others", *both(lambda column: _ratio(summary["enrichment"][column]))),
        *(
            [("cannot rank: one value for all prompts", ", ".join(flat), "")]
            if (flat := summary["cannot_rank"])
            else []
        ),
    ]


def separation_rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (score, AUC, TPR at 1 % FPR) rows for a table."""
    return [
        (name, *(value_with_ends(scores[key]) for key in ("auc", "tpr_at_1_fpr")))
        for name, scores in summary["separation"].items()
    ]


def value_with_ends(score: dict[str, Any], digits: int = 3) -> str:
    """Return a value with its interval as text, or the reason why there is none."""
    if score["value"] is None:
        return f"none: {score['reason']}"
    if score["low"] is None:
        return f"{score['value']:.{digits}f}"
    return f"{score['value']:.{digits}f} [{score['low']:.{digits}f}, {score['high']:.{digits}f}]"


def _number(value: float | None) -> str:
    return "none: one side is constant" if value is None else f"{value:.2f}"


def _ratio(enriched: dict[str, Any]) -> str:
    return value_with_ends(enriched["ratio"], 2)
