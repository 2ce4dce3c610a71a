"""The parts, most important first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckPart:
    """One part and its time."""

    name: str
    module: str
    least: float
    """Seconds without which it is not begun."""
    most: float
    """Seconds after which it is stopped."""


def _part(name: str, least: float, most: float, module: str = "") -> CheckPart:
    return CheckPart(name, f"scripts.gpu_checks.{module or name}", least, most)


PARTS = (
    _part("environment", 5, 45),
    _part("tests", 20, 120, "gpu_tests"),
    _part("equality", 15, 75),
    _part("search", 15, 90),
    _part("training", 20, 150),
    _part("detector", 20, 90),
    _part("run", 60, 180, "bench_run"),
    _part("prompts", 15, 60),
    _part("stylegan", 20, 120),
    _part("distributed", 15, 60),
)
"""`least` holds on a GPU; a rehearsal begins every part that has a second left."""
