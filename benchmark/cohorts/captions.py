"""The captions of a cohort's items, and those that a text-to-image model is asked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.types import Cohort, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

DRAWS = 0x7E
"""Separates the random numbers of prompts from others of the same seed."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of N samples. Private: they are reports of patients."""

    texts: tuple[str, ...]
    """N captions."""
    rows: Rows
    """(N,) the item that each caption belongs to: its position in train, calibration and test, in this order."""
    in_train: NDArray[np.bool_]
    """(N,) whether it is a training item."""


def captions_of(split: Split) -> tuple[str, ...]:
    """Return one caption per item: its report, else its class. Raises UsageError where there is neither."""
    if split.captions is not None:
        return split.captions
    if split.labels is not None:
        return tuple(label.lower().replace("_", " ") for label in split.labels)
    raise UsageError(
        f"text-to-image models take captions, and the items of {split.name} have neither reports nor classes",
        "choose a data set with reports, such as openi or mimic-cxr, or with classes, such as cxr-pneumonia",
    )


def drawn_prompts(cohort: Cohort, count: int, seed: int) -> Prompts:
    """Draw the prompts of `count` samples: captions of as many training patients as held-out patients.

    min(T, H, count / 2) patients of each side are drawn at random among those with a caption. In each round every one
    of them is asked for once, in random order, each time with the next of its captions; the last round stops at
    `count`. Empty captions are not used. A patient is here what the split deals out whole (`Split.dealt`).

    Nothing but the draw of equally many patients looks at the sides: given the patients that were drawn, how often and
    when each is asked for says nothing of its side, so that the competition of these patients is exact. A last round
    with equal numbers of both sides would break that: the patients asked once more would be no random ones.

    Raises UsageError where one side has no caption.
    """
    sides = captioned_units(cohort)
    texts = [text for split in cohort.splits for text in _texts(split)]
    rng = np.random.default_rng([seed, DRAWS])
    size = max(1, min(*(len(side) for side in sides), count // 2))
    asked = [side[number] for side in sides for number in rng.permutation(len(side))[:size]]
    asked = [rng.permutation(rows) for rows in asked]
    rounds = -(-count // len(asked))
    order = np.concatenate([rng.permutation(len(asked)) for _ in range(rounds)])[:count]
    rows = np.array([asked[unit][place // len(asked) % len(asked[unit])] for place, unit in enumerate(order)])
    return Prompts(tuple(texts[row] for row in rows), rows, rows < len(cohort.train))


def captioned_units(cohort: Cohort) -> tuple[list[Rows], list[Rows]]:
    """Return the rows of the items with a caption, per patient: of training patients, and of held-out ones.

    Raises UsageError where one side has none: captions of one side alone cannot tell copies from what captions tell.
    """
    train, heldout = _captioned((cohort.train,), 0), _captioned(cohort.splits[1:], len(cohort.train))
    for name, units in (("training", train), ("held-out", heldout)):
        if not units:
            raise UsageError(
                "text-to-image models are asked with captions of training patients and of held-out patients, and no "
                f"{name} item of {cohort.name} has a report or a class",
                "choose a data set with reports, such as openi or mimic-cxr, or with classes, such as cxr-pneumonia",
            )
    return train, heldout


def _captioned(splits: Sequence[Split], first: int) -> list[Rows]:
    """Return the rows with a caption per patient; `first` is the row of the first item of these splits."""
    names = [name for split in splits for name in split.dealt]
    texts = [text for split in splits for text in _texts(split)]
    units: dict[str, list[int]] = {}
    for row, (name, text) in enumerate(zip(names, texts, strict=True), start=first):
        if text:
            units.setdefault(name, []).append(row)
    return [np.array(rows) for rows in units.values()]


def _texts(split: Split) -> tuple[str, ...]:
    """Return one caption per item, empty where there is none."""
    return captions_of(split) if split.captions is not None or split.labels is not None else ("",) * len(split)
