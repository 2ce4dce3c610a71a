"""Publishable results of the study: detectors against ground truth, markers by repetition, and prompt length."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.metrics.prompts import enrichment, outliers, rank_correlation, separation

if TYPE_CHECKING:
    from benchmark.core.types import Array

MEMORISED = 0.5
"""A prompt is memorised where at least this share of its images are copies."""
NAMES = (
    "d_mem", "first", "first10", "adjusted", "entropy_first", "entropy_last", "anisotropy", "seeds", "length",
)  # fmt: skip


def summarise(table: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Return publishable results.

    Detectors are compared with the ground truth (`copied`) and with the planned repetition; then come captions by group
    and markers, the enrichment of markers among the top prompts, and correlations with length.

    Args:
        table: one row per prompt, with the share of copies and the scores of all detectors.
        threshold: of the copies.
    """
    memorised = (table["copied"] >= MEMORISED).to_numpy()
    shown = [name for name in NAMES if name in table]

    def top(column: pd.Series[float]) -> Array:
        return outliers(column.to_numpy(), percentile=100 * (1 - TOP))

    return {
        "prompts": len(table),
        "memorised": int(memorised.sum()),
        "threshold": threshold,
        "detectors": {name: _separation(table[name].to_numpy(), memorised) for name in shown},
        "planned": {name: _separation(table[name].to_numpy(), table["repeats"].to_numpy() > 1) for name in shown},
        "cells": [_cell(rows) for _, rows in table.groupby(["group", "marked"], sort=False)],
        "enrichment": {
            "d_mem": _enriched(table, top(table["d_mem"])),
            "adjusted": _enriched(table, top(table["adjusted"])),
            "copied": _enriched(table, memorised),
        },
        "length_correlation": {
            name: rank_correlation(table[name].to_numpy(), table["length"].to_numpy())
            for name in ("d_mem", "adjusted", "copied")
        },
    }  # fmt: skip


TOP = 0.05
"""Share of prompts that count as the top, for the enrichment of markers."""


def _cell(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "group": rows["group"].iloc[0],
        "marked": bool(rows["marked"].iloc[0]),
        "prompts": len(rows),
        "memorised": int((rows["copied"] >= MEMORISED).sum()),
        "copied": float(rows["copied"].mean()),
        "d_mem": float(rows["d_mem"].median()),
        "adjusted": float(rows["adjusted"].median()),
        "tokens": float(rows["length"].median()),
    }


def _enriched(table: pd.DataFrame, top: Array) -> dict[str, Any]:
    return asdict(enrichment(table["marked"].to_numpy(), top))


def _separation(values: Array, positive: Array) -> dict[str, Any]:
    return {name: asdict(score) for name, score in separation(values, positive).items()}
