"""What may be published of the scores of prompts: counts, quantiles, length, marks. No text, no digest of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from benchmark.metrics.prompts import Enrichment, enrichment, rank_correlation
from benchmark.text.asking import Pass, Rule

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


def summarise(scores: pd.DataFrame, ask: Pass, rule: Rule) -> dict[str, Any]:
    """Return aggregates that may be published: no text, no digest of a text."""
    found = {column: _enrichment(scores, column) for column in ("d_mem", "adjusted")}
    return {
        "prompts": len(scores),
        "repeated": int((scores["count"] > 1).sum()),
        "marked": int(scores["marked"].sum()),
        "pass": asdict(ask),
        "rule": asdict(rule),
        "quantiles": {
            column: {
                str(q): float(value) for q, value in zip(QUANTILES, np.quantile(scores[column], QUANTILES), strict=True)
            }
            for column in ("d_mem", "first", "per_root_size", "adjusted", "tokens")
        },
        "length_correlation": {
            column: rank_correlation(scores[column].to_numpy(), scores["tokens"].to_numpy())
            for column in ("d_mem", "adjusted")
        },
        "outliers": {column: int(scores[f"{column}_outlier"].sum()) for column in ("d_mem", "adjusted")},
        "enrichment": {column: asdict(value) for column, value in found.items()},
    }


def _enrichment(scores: pd.DataFrame, column: str) -> Enrichment:
    return enrichment(scores["marked"].to_numpy(), scores[f"{column}_outlier"].to_numpy())


def rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, by d_mem, length-adjusted) rows for a table on the terminal."""
    columns: tuple[str, ...] = ("d_mem", "adjusted")

    def both(value: Callable[[str], str]) -> tuple[str, str]:
        first, second = (value(column) for column in columns)
        return first, second

    return [
        ("prompts", str(summary["prompts"]), ""),
        ("  repeated in the list", str(summary["repeated"]), ""),
        ("  with a marker", str(summary["marked"]), ""),
        ("median", *both(lambda column: f"{summary['quantiles'][column]['0.5']:.4g}")),
        ("99 % quantile", *both(lambda column: f"{summary['quantiles'][column]['0.99']:.4g}")),
        ("rank correlation with length", *both(lambda column: _number(summary["length_correlation"][column]))),
        ("outliers", *both(lambda column: str(summary["outliers"][column]))),
        ("marker: share in outliers / others", *both(lambda column: _ratio(summary["enrichment"][column]))),
    ]


def _number(value: float | None) -> str:
    return "none: one side is constant" if value is None else f"{value:.2f}"


def _ratio(found: dict[str, Any]) -> str:
    ratio = found["ratio"]
    if ratio["value"] is None:
        return f"none: {ratio['reason']}"
    return f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
