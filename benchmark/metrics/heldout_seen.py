"""Has this model seen the held-out patients? Then they are no control, and the headline is refused.

Two tests. The competition with the sides exchanged: held-out patients before the first training patients, beyond
chance. It sees models that know held-out patients better than training ones, but not those that know both alike: then
the labels tell nothing. So also: held-out patients of whom a sample is a verbatim copy (`withhold.robust_level`).
A model that knows both sides alike and reproduces nobody verbatim is not found by either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance
from benchmark.metrics.competition import points

if TYPE_CHECKING:
    from benchmark.metrics.competition import Nearest

MIRROR_SPENDING = (0.004, 0.0045, 0.005)
"""Cumulated error of the exchanged competition: an honest model is refused in at most 0.5 % of splits."""
VERBATIM_PATIENTS = 2
"""One held-out patient may be a near duplicate of a training patient under another name; two are not."""


@dataclass(frozen=True)
class HeldoutSeen:
    """What speaks for it."""

    exposed: int
    """Held-out patients that are exposed beyond chance, lower end at 99.5 %."""
    verbatim: int
    """Held-out patients of whom the nearest sample is a verbatim copy."""

    @property
    def refused(self) -> bool:
        """Whether the model has seen held-out patients."""
        return self.exposed > 0 or self.verbatim >= VERBATIM_PATIENTS


def heldout_seen(nearest: Nearest, level: float, *, everyone: Nearest | None = None) -> HeldoutSeen:
    """Look for held-out patients in a synthetic set.

    Args:
        nearest: the nearest patient of each sample, among those that compete.
        level: the similarity above which a sample is verbatim.
        everyone: the same among all patients, where not all compete: a verbatim copy is of any of them.
    """
    everyone = everyone or nearest
    mirror = nearest.swapped()
    bounds = chance.boundary(mirror.train, mirror.heldout, MIRROR_SPENDING)
    read = zip(points(mirror, list(range(1, len(bounds) + 1))), bounds, strict=True)
    copied = everyone.patient[(everyone.patient >= everyone.train) & (everyone.similarity > level)]
    return HeldoutSeen(max(0, *(point.passed - bound for point, bound in read)), len(np.unique(copied)))
