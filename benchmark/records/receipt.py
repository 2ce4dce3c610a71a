"""The receipt of one detector: all that the headline is computed from, and nothing that names or shows anybody.

Similarities are there as their order only. A number in full would be a fingerprint: whoever has a patient's image and
the synthetic images could compute the same number, look it up, and read on which side the patient was. The order goes
no further than anything that follows decides. Patients have numbers of this receipt alone, in a random order. What
receipts of one cohort share are groups of patients, which have one weight in the comparison of models: they were dealt
at random, from the names and images of the whole cohort, so that nobody without it can repeat the draw.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from benchmark.records.public_model import LISTED, Finite, Positive, PublicModel
from benchmark.records.strict_text import Text

Count = Annotated[int, Field(ge=0)]
Counts = Annotated[tuple[Count, ...], LISTED]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


MOST_PATIENTS, MOST_SAMPLES = 10**6, 10**7
"""A replay takes memory for so many: a receipt of others must not ask for all there is."""


class Order(PublicModel):
    """The samples by their similarity to the nearest patient, the most similar first."""

    train: Annotated[Positive, Field(le=MOST_PATIENTS)]
    """T, the training patients that compete."""
    heldout: Annotated[Count, Field(le=MOST_PATIENTS)]
    """H, the held-out patients that compete."""
    samples: Annotated[Positive, Field(le=MOST_SAMPLES)]
    """N."""
    patients: Counts
    """The number of the nearest patient, for the first of the samples: those that follow decide nothing."""
    training: Counts
    """Which of these numbers are training patients, ascending."""
    groups: Counts
    """The group of each number 0, 1 ..., ascending."""
    ties: Counts = ()
    """Positions in `patients`, from 0, of samples that are exactly as similar as the one before."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        given, trained = set(self.patients), set(self.training)
        if not 1 <= len(self.patients) <= self.samples:
            raise ValueError(f"an order of {len(self.patients)} samples, of {self.samples}")
        if given != set(range(len(self.groups))) or list(self.groups) != sorted(self.groups):
            raise ValueError("patients without a group, or groups that are not ascending")
        if list(self.training) != sorted(trained) or not trained <= given:
            raise ValueError("training patients that are not in the order, or not ascending")
        if len(trained) > self.train or len(given - trained) > self.heldout:
            raise ValueError("more patients on one side than there are")
        if list(self.ties) != sorted(set(self.ties)) or not set(self.ties) <= set(range(1, len(self.patients))):
            raise ValueError("ties that are no positions of the order")
        return self


class SplitFacts(PublicModel):
    """The test of the split, as it was measured: it depends on the cohort alone, and is not computed again."""

    p_value: Share
    same_side: Share
    expected: Share
    mixed_p: Share


class Receipt(PublicModel):
    """All that the headline of one detector, and what is printed with it, is computed from."""

    order: Order
    everyone: Order | None = None
    """With prompts, the order among all patients; else `order` is that."""
    threshold: Finite | None
    """t_X, the one similarity that the record publishes."""
    verbatim: Counts = ()
    """Positions, in the order of everyone, of verbatim samples."""
    verbatim_beyond: Count = 0
    """Verbatim samples that follow."""
    seen: Count
    """Samples at the beginning of everyone's order that are above the level for held-out patients."""
    seen_beyond: Count = 0
    """Held-out patients that only later samples above that level are nearest to."""
    hits: Counts
    """Right guesses of the bound on epsilon, at each number of guesses that is tried, the greatest first."""
    split: SplitFacts | None
    tied: Share
    """Share of the samples that are exactly as similar to both sides."""
    different: Positive
    """How many of the samples are different images."""
    refusal: Text = ""
    """Why nothing is said of this model whatever it reads."""
    uneven: bool = False
    """Whether training patients have different numbers of images: `detectable.share` is then not computed again."""
