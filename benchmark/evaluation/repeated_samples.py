"""Samples that repeat another one in every pixel: a generator that ignores its seed, a collapsed one, doubled files.

A repeat shows nothing new of the model, so that a cohort can show with N samples only what it shows with the different
ones among them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from benchmark.core.types import Score, chunks

if TYPE_CHECKING:
    from benchmark.detectors.fitting import Items

AT_ONCE = 100


def count_different(samples: Items) -> int:
    """Count the different images, a part at a time."""
    seen = set()
    for part in chunks(len(samples), AT_ONCE):
        seen |= {hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in samples.stored(part)}
    return len(seen)


def repeated_score(different: int, samples: int) -> Score:
    """Return the number of samples that repeat another one; where there are any, the reason says so in words."""
    repeated = samples - different
    reason = f"{repeated} of {samples} samples repeat another one exactly: they count once" if repeated else ""
    return Score(value=float(repeated), n=samples, direction="lower", reason=reason)
