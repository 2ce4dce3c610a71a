"""The parts, most important first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckPart:
    """One part and its time."""

    name: str
    module: str
    least: float
    """It is only started with this many seconds left."""
    most: float
    """Seconds after which it is stopped."""


def _part(name: str, least: float, most: float, module: str = "") -> CheckPart:
    return CheckPart(name, f"scripts.gpu_checks.{module or name}", least, most)


FIRST = (
    _part("environment", 5, 40),
    _part("equality", 15, 75),
    _part("search", 15, 90),
    _part("training", 20, 150),
    _part("tests", 20, 120, "gpu_tests"),
)
"""Even where each of them is stopped, together they end within the eight minutes of one call."""
SECOND = (
    _part("detector", 20, 90),
    _part("run", 110, 170, "bench_run"),
    _part("prompts", 15, 60),
    _part("stylegan", 20, 100),
    _part("distributed", 15, 55),
)
"""They fit into a second call."""
PARTS = (*FIRST, *SECOND)
"""`least` and `most` hold on a GPU; a rehearsal begins every part that has a second left, and stops none."""
