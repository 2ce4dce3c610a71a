"""What is odd about synthetic images before they are compared: constant, repeated, or unlike the training images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.core.percent import percent
from benchmark.evaluation.constant_samples import constant_refusal, constant_score, count_constant
from benchmark.evaluation.like_training import UNLIKE, unlike_training
from benchmark.evaluation.repeated_samples import count_different, repeated_score
from benchmark.evaluation.unlike_samples import FIGURE, unlike_mean, unlike_score

if TYPE_CHECKING:
    from benchmark.core.types import Score, Split


@dataclass(frozen=True)
class OfSamples:
    """Counts of a synthetic set, and what they mean for its comparison."""

    scores: dict[str, Score]
    different: int
    """Images that repeat no other one: only these show anything new."""
    refusal: str
    """Why no share of copies can be told; empty where it can."""
    unlike: str
    """Why an empty list would mean nothing; empty where it means something."""


def look_at(synthetic: Split, train: Split) -> OfSamples:
    """Count constant, repeated and unlike images among the synthetic ones."""
    count, constant, different = len(synthetic), count_constant(synthetic), count_different(synthetic)
    like = unlike_training(synthetic, train)
    scores = {
        "samples.constant": constant_score(constant, count),
        "samples.repeated": repeated_score(different, count),
        "samples.unlike": unlike_score(synthetic, train, like),
    }
    odd = scores["samples.unlike"]
    scores["samples.unlike"] = replace(odd, reason=odd.reason.replace(FIGURE, "look at them"))
    unlike = _unlike(synthetic, train, like[1])
    return OfSamples(scores, different, constant_refusal(constant, count, train), unlike)


def _unlike(synthetic: Split, train: Split, unlike: str) -> str:
    """Return why copies would not be seen, `unlike` where it is no matter of the mean image; empty where they would be.

    Most of the set is then inverted, rotated, noise, or of another organ, and would not be found whatever it copies.
    """
    share = unlike_mean(synthetic, train)
    if share >= UNLIKE:
        return (
            f"{percent(share, 0)} of the synthetic images are less like the mean training image than 99 % of the "
            "training images: look whether they are inverted, rotated, noise, or of another organ"
        )
    return unlike
