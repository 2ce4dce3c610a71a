"""Samples of one grey value: counted, and too many of them make the headline `cannot tell`.

An autoencoder that overflows in fp16, a safety checker and a collapsed generator draw black images. Such an image
copies nobody, so that a broken model would read as one that has memorised nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.core.types import Score, chunks
from benchmark.images.constant import constant
from benchmark.metrics.competition import PRECISION

if TYPE_CHECKING:
    from benchmark.detectors.fitting import Items

TOLERATED = PRECISION
"""Largest share of constant samples beyond that of training images (empty slices at the ends of volumes). What the
model would have drawn in their place is unknown: at most that share of copies is unseen, which is no more than chance
may add to the upper end of the exposed share."""
AT_ONCE = 1000


def count_constant(samples: Items) -> int:
    """Count the constant images, a part at a time."""
    return sum(int(constant(samples.stored(part)).sum()) for part in chunks(len(samples), AT_ONCE))


def constant_refusal(count: int, samples: int, train: Items) -> str:
    """Return why the headline may not be scored with so many constant samples, or nothing."""
    if count <= TOLERATED * samples:
        return ""
    tolerated = TOLERATED + count_constant(train) / len(train)
    if count <= tolerated * samples:
        return ""
    return (
        f"cannot tell: {count} of {samples} samples are constant, one grey value everywhere (more than "
        f"{tolerated:.1%}), and what the model would draw in their place is unknown; look at the samples: a safety "
        "checker, or an autoencoder that overflows in fp16 (use its weights in fp32), gives black images"
    )


def constant_score(count: int, samples: int) -> Score:
    """Return the number of constant samples; where there are any, the reason says so in words."""
    reason = f"{count} of {samples} samples are constant, one grey value everywhere: they copy nobody" if count else ""
    return Score(value=float(count), n=samples, direction="lower", reason=reason)
