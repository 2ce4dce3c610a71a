"""Memorisation seen while a model trains: samples of the unfinished model against training and held-out patients.

Each look is the target-decoy competition of `metrics.competition`, with two lower ends: the plain one, which holds for
one look, and one that holds over all looks of the training together (`metrics.sequential`). Only the latter accuses.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.percent import percent
from benchmark.detectors.random_conv import random_features
from benchmark.evaluation.exposure import TIED
from benchmark.evaluation.watch_bank import Comparison, by_pixels, small_images
from benchmark.evaluation.watch_plan import Schedule
from benchmark.metrics.competition import exposed
from benchmark.metrics.negative_hypergeometric import boundary
from benchmark.metrics.quality import kernel, standardised
from benchmark.metrics.sequential import level, spending_at

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from benchmark.core.types import Images, Split
    from benchmark.metrics.competition import Nearest

SAMPLES = 300
"""Samples of a look."""
IN_A_ROW = 2
"""So many looks that accuse, one after the other, are an onset."""
REFERENCES = 1000
"""Held-out images that the quality is measured against."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One row of the curve; numbers are None where `reason` says why nothing can be told."""

    step: int
    look: int
    """Number of the look, from 1."""
    samples: int
    exposed_patients: float | None = None
    """Training patients with a copy among the samples: estimate and its plain 95 % interval."""
    exposed_patients_low: float | None = None
    exposed_patients_high: float | None = None
    exposed_patients_sure: float | None = None
    """Lower end that holds for all looks of the training together, 97.5 %."""
    exposed_share: float | None = None
    """Share of the samples that are copies, 0 to 1: estimate and its plain 95 % interval."""
    exposed_share_low: float | None = None
    exposed_share_high: float | None = None
    heldout_patients_sure: float | None = None
    """The same lower end with the sides exchanged: above 0, the model has seen held-out patients."""
    quality_kernel: float | None = None
    """Kernel distance to held-out images by features of `random-conv`: lower is better, about 0 at best."""
    sampling_seconds: float | None = None
    search_seconds: float | None = None
    reason: str = ""

    @property
    def exposed(self) -> bool:
        """Whether this look accuses: the lower end over all looks is above 0."""
        return bool(self.exposed_patients_sure)

    def numbers(self) -> dict[str, float]:
        """Return what to log: the numbers of this look by name, without those that are missing."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("step", "look", "reason")}
        return {name: float(value) for name, value in kept.items() if value is not None}

    def sentence(self) -> str:
        """Say in one sentence what the look found."""
        if self.reason:
            return f"step {self.step}: {self.reason}"
        if self.exposed:
            return (
                f"step {self.step}: at least {self.exposed_patients_sure:.0f} training patients are exposed by "
                f"{self.samples} samples"
            )
        return (
            f"step {self.step}: no patient shown to be exposed by {self.samples} samples "
            f"(0 to {self.exposed_patients_high:.0f})"
        )


@dataclass
class Watch:
    """Looks at one training, in the order of their steps."""

    compared: Comparison
    references: NDArray[np.floating]
    """(R, 192) features of held-out images."""
    shape: tuple[int, ...]
    """The shape of an image, (C, *spatial)."""
    schedule: Schedule
    samples: int = SAMPLES
    """How many samples a full look takes."""
    looks: list[Look] = field(default_factory=list)

    def due(self, step: int) -> bool:
        """Whether it is time for a look after this step."""
        return step >= self.next_step

    @property
    def next_step(self) -> int:
        """The step of the next look."""
        if not self.looks:
            return self.schedule.every
        return self.schedule.following(self.looks[-1].step, confirm=self._accusing() == 1)

    def update(self, step: int, samples: Images, *, sampling_seconds: float | None = None) -> Look:
        """Look at samples (n, C, *spatial), float32 in [-1, 1], of the model after a step, and return what they show.

        A look at this or a later step that was made before is replaced: the training has resumed before it. Raises
        UsageError for samples of another shape.
        """
        if samples.ndim < 2 or samples.shape[1:] != self.shape or not len(samples):
            raise UsageError(
                f"samples of step {step} have shape {samples.shape}, the training images (n, {_axes(self.shape)})",
                "give the samples as the training images are",
            )
        self.forget_after(step - 1)
        started = time.monotonic()
        numbers = self._numbers(samples, len(self.looks) + 1)
        numbers |= {"sampling_seconds": sampling_seconds, "search_seconds": time.monotonic() - started}
        self.looks.append(Look(step=step, look=len(self.looks) + 1, samples=len(samples), **numbers))
        return self.looks[-1]

    def forget_after(self, step: int) -> None:
        """Forget looks later than a step: they are made again."""
        self.looks = [look for look in self.looks if look.step <= step]

    @property
    def should_stop(self) -> bool:
        """Whether the last two looks accuse, one after the other."""
        return self._accusing() >= IN_A_ROW

    @property
    def onset(self) -> int | None:
        """The step of the first of the first two looks that accuse one after the other; None where there are none."""
        pairs = zip(self.looks, self.looks[1:], strict=False)
        return next((first.step for first, second in pairs if first.exposed and second.exposed), None)

    @property
    def curve(self) -> pd.DataFrame:
        """One row per look; columns are the fields of `Look`, and `exposed`."""
        from benchmark.evaluation.watch_curve import table

        return table(self.looks)

    def needed(self, number: int) -> int | None:
        """Return how many copied patients the look with this number is certain to report; None where no number is."""
        return needed(*self.compared.patients, number)

    def _accusing(self) -> int:
        """Count the last looks that accuse, one after the other."""
        counted = 0
        for look in reversed(self.looks):
            if not look.exposed:
                break
            counted += 1
        return counted

    def _numbers(self, samples: Images, number: int) -> dict[str, Any]:
        if not np.isfinite(samples).all():
            return {"reason": "cannot tell: samples are not finite"}
        nearest, tied = self.compared.compare(samples)
        quality = {"quality_kernel": self._quality(samples)}
        if tied > TIED:
            return {**quality, "reason": f"cannot tell: {percent(tied)} of the samples are as near to both sides"}
        return {**exposures(nearest, number), **quality}

    def _quality(self, samples: Images) -> float | None:
        if min(len(samples), len(self.references)) < 2:
            return None
        features = [self.references, random_features(small_images(samples))]
        real, drawn = (standardised(one, like=self.references) for one in features)
        distance = kernel(drawn, real)
        return distance if np.isfinite(distance) else None  # images of few pixels have features without a spread


def exposures(nearest: Nearest, number: int) -> dict[str, Any]:
    """Return the numbers of the look with this number: estimates, plain intervals, and ends that hold over all looks.

    Samples that are near held-out patients beyond chance show that these are no control: nothing is said then.
    """
    plain, spending = exposed(nearest), spending_at(level(number))
    mirrored = exposed(nearest.swapped(), spending=spending).patients.low
    if mirrored:
        return {
            "heldout_patients_sure": mirrored,
            "reason": f"cannot tell: the model has seen held-out patients (at least {mirrored:.0f}); "
            "are training and held-out images exchanged?",
        }
    return {
        "exposed_patients": plain.patients.value,
        "exposed_patients_low": plain.patients.low,
        "exposed_patients_high": plain.patients.high,
        "exposed_patients_sure": exposed(nearest, spending=spending).patients.low,
        "exposed_share": plain.samples.value,
        "exposed_share_low": plain.samples.low,
        "exposed_share_high": plain.samples.high,
        "heldout_patients_sure": mirrored,
    }


def open_watch(
    train: Split, heldout: Split, *, every: int, samples: int = SAMPLES, compared: Comparison | None = None
) -> Watch:
    """Prepare to watch a training.

    Args:
        train: the images that the model is trained on.
        heldout: images of other patients, which the model never sees.
        every: steps before the first look, and the shortest interval.
        samples: of a full look.
        compared: how images are compared; small images by pixels where it is not given.

    Raises UsageError where no look could show anything.
    """
    require_power(len(set(train.dealt)), len(set(heldout.dealt)), samples)
    some = np.random.default_rng(0).permutation(len(heldout))[:REFERENCES]
    references = random_features(small_images(heldout.images(np.sort(some))))
    compared = compared or by_pixels(train, heldout)
    compared.compare(heldout.images(slice(0, 2)))  # compiles the kernels, which would count as time of the first look
    return Watch(compared, references, train.shape, Schedule(every), samples)


def needed(train: int, heldout: int, number: int) -> int | None:
    """Return how many copied patients the look with this number is certain to report; None where no number is."""
    certain = boundary(train, heldout, spending_at(level(number)))[0] + 1
    return certain if certain <= train else None


def require_power(train: int, heldout: int, samples: int) -> None:
    """Refuse to watch where not even a model that copies everybody would be seen: a clean curve would mean nothing."""
    certain = needed(train, heldout, 1)
    if certain is None:
        raise UsageError(
            f"{train} training and {heldout} held-out patients are too few to watch a training: even if every patient "
            "were copied, no look could show it",
            "hold out more patients",
        )
    if certain > samples:
        raise UsageError(
            f"{samples} samples per look are too few: with {train} training and {heldout} held-out patients it takes "
            f"copies of {certain} patients to show any",
            f"draw at least {certain} samples per look",
        )


def _axes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
