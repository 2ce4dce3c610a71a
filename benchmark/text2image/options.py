"""How prompts are asked, which of them stand out, and what is done with those: the options of `bench prompts`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.core.options import require_pattern
from benchmark.metrics.prompts import FIRST_STEPS
from benchmark.text2image.marks import MARKER

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class PromptSampling:
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
        require_number("guidance", self.guidance, "7.5")

    @property
    def taken(self) -> int:
        """How many steps are taken."""
        return 1 if self.first else self.steps


@dataclass(frozen=True, kw_only=True)
class OutlierRule:
    """What is read from the scores: outliers, the n-step variant, and what a marker looks like."""

    percentile: float = 99.0
    z: float | None = None
    """Instead of the percentile: deviations above the mean."""
    marker: str = MARKER
    """Regular expression of de-identification marks."""
    first_steps: int = FIRST_STEPS
    """Of the n-step variant, which is left out where fewer are taken."""

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise UsageError(f"percentile {self.percentile:g} is none", "give a number between 0 and 100, such as 99")
        if self.z is not None:
            require_number("z", self.z, "3")
        if self.first_steps < 2:
            raise UsageError(f"first_steps is {self.first_steps}", "give 2 or more; `first` is of one step already")
        require_pattern("marker", self.marker, "___|XXXX")


@dataclass(frozen=True, kw_only=True)
class FollowUps:
    """What is done with the prompts of the highest d_mem."""

    tokens: int = 0
    """Prompts whose words d_mem is attributed to."""
    faithful: bool = False
    """Token gradients as published."""
    mitigate: int = 0
    """Prompts that mitigations are tried on."""
    images: int = 50
    """A prompt and mitigation."""
    insertions: int = 4
    """Words or numbers that a mitigation adds."""
    align: str | None = None
    """Folder of a CLIP model."""
    data: str | None = None
    """Training data set."""
    root: Path | None = None

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.mitigate < 0:
            raise UsageError(
                f"{self.tokens} prompts for --tokens and {self.mitigate} for --mitigate were asked for",
                "give 0 or more of each",
            )
        if self.images < 2:
            raise UsageError(f"--images {self.images} shows no diversity", "give 2 or more images a prompt")
        if self.insertions < 1:
            raise UsageError(f"--insertions {self.insertions} inserts nothing", "give 1 or more")
        for option, given, partner, there in (
            ("--faithful", self.faithful, "--tokens 10", self.tokens),
            ("--align", self.align, "--mitigate 10", self.mitigate),
            ("--data", self.data, "--mitigate 10", self.mitigate),
            ("--root", self.root, "--data NAME", self.data),
        ):
            if given and not there:
                raise UsageError(f"{option} is for {partner.split()[0]}", f"add {partner}, or leave {option} out")


def require_number(name: str, value: float, example: str) -> None:
    """Raise UsageError where an option is no finite number."""
    if not math.isfinite(value):
        raise UsageError(f"{name} {value:g} is no number", f"give one such as {example}")
