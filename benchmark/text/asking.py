"""How prompts are asked, and which of them stand out: the options of `bench prompts`."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.errors import UsageError
from benchmark.networks.marks import MARKER
from benchmark.options import require_pattern

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Pass:
    """How a pipeline is asked."""

    steps: int = 50
    """Of DDIM sampling."""
    seeds: int = 4
    """Noises a prompt."""
    guidance: float = 7.5
    first: bool = False
    """The first step alone: `steps` times cheaper, for large lists."""
    further: bool = False
    """Attention, anisotropy and the likeness of the seeds' images too."""
    precision: str = "fp32"
    """`fp32` or `bf16`."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"there is no precision {self.precision!r}", f"choose {' or '.join(PRECISIONS)}")
        if self.first and self.further:
            raise UsageError("the further detectors need all steps", "leave one of --first and --further out")
        if self.steps < 1 or self.seeds < 1:
            raise UsageError(f"{self.steps} steps and {self.seeds} seeds were asked for", "give 1 or more of each")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which prompts are called outliers, and what a marker looks like."""

    percentile: float = 99.0
    z: float | None = None
    """Instead of the percentile: deviations above the mean."""
    marker: str = MARKER
    """Regular expression of de-identification marks."""

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise UsageError(f"percentile {self.percentile:g} is none", "give a number between 0 and 100, such as 99")
        require_pattern("marker", self.marker, "___|XXXX")
