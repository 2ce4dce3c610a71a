"""Samples of one grey value: counted, and too many of them make the headline `cannot tell`.

An autoencoder that overflows in fp16, a safety checker and a collapsed generator draw black images. Such an image
copies nobody, so that a broken model would read as one that has memorised nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.core.percent import percent
from benchmark.core.types import Score, chunks
from benchmark.images.constant import constant
from benchmark.metrics.competition import PRECISION

if TYPE_CHECKING:
    from benchmark.detectors.fitting import Items

TOLERATED = PRECISION
"""Largest share of constant samples beyond that of training images (empty slices at the ends of volumes). What the
model would have drawn in their place is unknown: at most that share of copies is unseen, which is no more than chance
may add to the upper end of the exposed share. Where training images are constant, too, the sampling error of their
share is added."""
REFUSED_BY_CHANCE = 0.05
"""Largest probability that a model which draws empty slices as often as they are trained on is refused."""
AT_ONCE = 1000


def count_constant(samples: Items) -> int:
    """Count the constant images, a part at a time."""
    return sum(int(constant(samples.stored(part)).sum()) for part in chunks(len(samples), AT_ONCE))


def constant_refusal(count: int, samples: int, train: Items) -> str:
    """Return why the headline may not be scored with so many constant samples, or nothing."""
    if count <= TOLERATED * samples:
        return ""
    tolerated = TOLERATED + _as_trained(count_constant(train), len(train), samples) / samples
    if count <= tolerated * samples:
        return ""
    return (
        f"cannot tell: {count} of {samples} samples are constant, one grey value everywhere (more than "
        f"{percent(tolerated)}), and what the model would draw in their place is unknown; look at the samples: a "
        "safety checker, or an autoencoder that overflows in fp16 (use its weights in fp32), gives black images"
    )


def _as_trained(constant: int, train: int, samples: int) -> float:
    """Return the most constant samples of a model that draws as many as it was trained on.

    Both shares have a sampling error: the number of samples is beta-binomial, given the training images. With their
    share alone as the limit, 4 to 40 % of such models were refused (simulated: 1 to 30 % empty slices, 100 or 250
    samples).
    """
    from scipy.stats import betabinom

    if constant in (0, train):
        return float(samples if constant else 0)
    return float(betabinom.ppf(1 - REFUSED_BY_CHANCE, samples, constant, train - constant))


def constant_score(count: int, samples: int) -> Score:
    """Return the number of constant samples; where there are any, the reason says so in words."""
    reason = f"{count} of {samples} samples are constant, one grey value everywhere: they copy nobody" if count else ""
    return Score(value=float(count), n=samples, direction="lower", reason=reason)
