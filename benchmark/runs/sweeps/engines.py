"""Engines by name: functions that run the cells of a sweep."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.options import suggest
from benchmark.runs.sweeps.cells import CellOutcome

Engine = Callable[..., list[CellOutcome]]
"""Called as run_cells(cells, workers=..., fail_fast=..., tell=...)."""
ENGINES = {"local": "benchmark.runs.sweeps.local", "ray": "benchmark.runs.sweeps.ray_engine"}
"""Module of each engine: it is imported when it is used."""


def find_engine(name: str, *, address: str | None = None) -> Engine:
    """Return the engine of this name. Raises UsageError for another name, and where its packages are not installed.

    `address` is that of a Ray cluster; none starts Ray on this machine.
    """
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", f"{suggest(name, ENGINES)}choose local or ray")
    if address is not None and name != "ray":
        raise UsageError(
            f"--address names a Ray cluster, and the engine is {name}", "give --engine ray, or leave it out"
        )
    try:
        module: Any = importlib.import_module(ENGINES[name])
    except ImportError as error:
        raise UsageError(
            f"the engine {name} cannot be used: {error}", "install it: pip install 'memobench[ray]'"
        ) from error
    engine: Engine = module.run_cells
    return functools.partial(engine, address=address) if name == "ray" else engine
