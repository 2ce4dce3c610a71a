"""Options of `bench prompts`: how prompts are sampled, which are outliers, and which follow-ups are run on those."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.core.options import require_pattern
from benchmark.metrics.prompts import FIRST_STEPS
from benchmark.text2image.markers import MARKER

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class PromptSampling:
    """How each prompt is sampled. Raises UsageError for a value outside its range."""

    steps: int = 50
    """Steps of DDIM sampling."""
    seeds: int = 4
    """Noises per prompt."""
    guidance: float = 7.5
    """Scale of classifier-free guidance."""
    first: bool = False
    """Take the first step only: `steps` times cheaper, for large lists."""
    further: bool = False
    """Also compute attention entropy, anisotropy and the similarity of the seeds' images."""
    precision: str = "fp32"
    """`fp32` or `bf16`."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"there is no precision {self.precision!r}", f"choose {' or '.join(PRECISIONS)}")
        if self.first and self.further:
            raise UsageError("the further detectors need all steps", "leave out --first or --further")
        if self.steps < 1 or self.seeds < 1:
            raise UsageError(f"steps is {self.steps} and seeds is {self.seeds}", "give 1 or more of each")
        require_number("guidance", self.guidance, "7.5")

    @property
    def steps_taken(self) -> int:
        """Number of steps that are taken."""
        return 1 if self.first else self.steps


@dataclass(frozen=True, kw_only=True)
class OutlierRule:
    """Which prompts are outliers, the n-step variant of d_mem, and what a marker is."""

    percentile: float = 99.0
    """Outliers are at or above this percentile of the scores."""
    z: float | None = None
    """In place of the percentile: outliers are more than so many standard deviations above the mean."""
    marker: str = MARKER
    """Regular expression of de-identification markers."""
    first_steps: int = FIRST_STEPS
    """Steps of the n-step variant, which is left out where fewer steps are taken."""

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise UsageError(f"percentile is {self.percentile:g}", "give a number between 0 and 100, such as 99")
        if self.z is not None:
            require_number("z", self.z, "3")
        if self.first_steps < 2:
            raise UsageError(f"first_steps is {self.first_steps}", "give 2 or more; `first` is the score of one step")
        require_pattern("marker", self.marker, "___|XXXX")


@dataclass(frozen=True, kw_only=True)
class FollowUps:
    """What is done with the prompts with the highest d_mem."""

    tokens: int = 0
    """Number of prompts whose d_mem is attributed to their words."""
    faithful: bool = False
    """Compute token gradients as the published code does."""
    mitigate: int = 0
    """Number of prompts on which mitigations are tested."""
    images: int = 50
    """Images per prompt and mitigation."""
    insertions: int = 4
    """Number of words or numbers that a mitigation inserts."""
    align: str | None = None
    """Folder of a CLIP model, for the match of image and text."""
    data: str | None = None
    """Training data set, for the share of copies."""
    root: Path | None = None
    """Folder of the data set."""
    shown: int = 12
    """Number of prompts whose images the private report shows."""

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.mitigate < 0:
            raise UsageError(
                f"--tokens is {self.tokens} and --mitigate is {self.mitigate}",
                "give 0 or more of each",
            )
        if self.shown < 0:
            raise UsageError(f"--shown is {self.shown}", "give 0 or more prompts")
        if self.images < 2:
            raise UsageError(f"--images {self.images} shows no diversity", "give 2 or more images per prompt")
        if self.insertions < 1:
            raise UsageError(f"--insertions {self.insertions} inserts nothing", "give 1 or more")
        for option, given, partner, partner_given in (
            ("--faithful", self.faithful, "--tokens 10", self.tokens),
            ("--align", self.align, "--mitigate 10", self.mitigate),
            ("--data", self.data, "--mitigate 10", self.mitigate),
            ("--root", self.root, "--data NAME", self.data),
        ):
            if given and not partner_given:
                raise UsageError(f"{option} needs {partner.split()[0]}", f"add {partner}, or leave {option} out")


def require_number(name: str, value: float, example: str) -> None:
    """Raise UsageError where an option is not a finite number."""
    if not math.isfinite(value):
        raise UsageError(f"{name} {value:g} is not a finite number", f"give a number such as {example}")
