"""When to look at a training: steps at growing intervals, within an allowance of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

GROWTH = 0.1
"""The interval is at least a tenth of the steps taken. Memorisation goes with the number of times that an image was
seen: a look at 110 % of the steps of the last one tells as much of a late stage as of an early one, and a training
needs some tens of looks, not thousands."""
CONFIRM = 0.25
"""A look that accuses is followed by the next one after a quarter of the interval."""
SEARCH_SHARE = 0.02
"""Share of the training time that comparing samples may take."""
LEAST = 0.5
"""A look takes at least half of the samples: with fewer, looks become rarer instead."""
PROBE = 8
"""Samples that are drawn once to learn what a sample costs."""


@dataclass(frozen=True)
class Schedule:
    """Steps at which to look."""

    every: int
    """Steps before the first look, and the shortest interval."""
    growth: float = GROWTH

    def following(self, step: int, *, confirm: bool = False) -> int:
        """Return the step of the look after one at this step; `confirm` where that one is to be confirmed."""
        interval = max(self.every, self.growth * step)
        return step + max(1, math.ceil(CONFIRM * interval if confirm else interval))


@dataclass
class Allowance:
    """Time that looks may take, as a share of the training time so far.

    It depends on clocks, not on what looks find: rarer or smaller looks do not touch the error of all looks.
    """

    share: float
    """Share that sampling may take, such as 0.1."""
    samples: int
    """Samples of a full look."""
    sampling: float = 0.0
    """Seconds that samples took."""
    search: float = 0.0
    """Seconds that comparing them took."""
    per_sample: float | None = None
    """Seconds of sampling per sample, at the last look."""
    last_search: float = 0.0
    """Seconds that the last comparison took."""

    def note(self, samples: int, sampling: float, search: float) -> None:
        """Take note of a look, or of a probe (whose search is 0 s)."""
        self.sampling, self.search = self.sampling + sampling, self.search + search
        self.per_sample, self.last_search = sampling / samples, search

    def affordable(self, training: float) -> int:
        """Return how many samples a look may draw after so many seconds of training, 0 for none."""
        if self.per_sample is None:
            return PROBE
        if self.search + self.last_search > SEARCH_SHARE * training and self.search:
            return 0
        left = self.share * training - self.sampling
        most = self.samples if self.per_sample * self.samples <= left else int(left / self.per_sample)
        return most if most >= LEAST * self.samples else 0
