"""Engines by name: functions that run the cells of a sweep."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.options import suggest
from benchmark.runs.sweeps.cells import CellOutcome

Engine = Callable[..., list[CellOutcome]]
"""Called as run_cells(cells, workers=..., fail_fast=..., tell=...)."""
ENGINES = {"local": "benchmark.runs.sweeps.local", "ray": "benchmark.runs.sweeps.ray_engine"}
"""Module of each engine: it is imported when it is used."""


def find_engine(
    name: str, *, address: str | None = None, processes: int | None = None, cpus: float | None = None
) -> Engine:
    """Return the engine of this name.

    Args:
        name: one of ENGINES.
        address: of a running Ray cluster; None starts Ray on this machine.
        processes: training processes of each cell, at least 1; 1 by default. Ray only.
        cpus: CPU cores that Ray reserves per training process, above 0; 1 by default.

    Raises UsageError for another name, for options that the engine does not have or values outside of their range, and
    where its packages are not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", f"{suggest(name, ENGINES)}choose local or ray")
    given = {"--address": address, "--processes": processes, "--cpus": cpus}
    if name != "ray":
        for option in [option for option, value in given.items() if value is not None]:
            raise UsageError(
                f"{option} is for a Ray cluster, and the engine is {name}", "give --engine ray, or leave it out"
            )
    if processes is not None and processes < 1:
        raise UsageError(f"--processes is {processes}, and training needs a process", "give 1 or more")
    if cpus is not None and not 0 < cpus < math.inf:
        raise UsageError(f"--cpus is {cpus:g}, and a process needs a part of a core", "give a number above 0")
    try:
        module: Any = importlib.import_module(ENGINES[name])
    except ImportError as error:
        raise UsageError(
            f"the engine {name} cannot be used: {error}", "install it: pip install 'memobench[ray]'"
        ) from error
    engine: Engine = module.run_cells
    if name != "ray":
        return engine
    return functools.partial(engine, address=address, processes=processes or 1, cpus=1.0 if cpus is None else cpus)
