"""What commands need and forks of this process have: imports, and the modules whose code is in the keys of stages."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

from benchmark.core.source_digest import source_digest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch", "sklearn.linear_model", "scipy.stats", "pandas", "matplotlib.figure", "numba", "SimpleITK",
    "benchmark.cli.run", "benchmark.cli.audit", "benchmark.cli.sweep", "benchmark.evaluation.run_evaluation",
)  # fmt: skip


def prepare_for_forks() -> None:
    """Import the heavy packages, and parse the modules: a command does both for several seconds."""
    for name in HEAVY:
        importlib.import_module(name)
    source_digest(*(path for place in ("benchmark", "models", "datasets") for path in (ROOT / place).rglob("*.py")))
    gc.freeze()  # so that forks neither look through these modules for garbage nor copy their pages for it
