"""The captions of a cohort's items, and those that a text-to-image model is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.types import Split


def captions_of(split: Split) -> tuple[str, ...]:
    """Return one caption an item: its report, else its class. Raises UsageError where there is neither."""
    if split.captions is not None:
        return split.captions
    if split.labels is not None:
        return tuple(label.lower().replace("_", " ") for label in split.labels)
    raise UsageError(
        f"text-to-image models take captions, and the items of {split.name} have neither reports nor classes",
        "choose a data set with reports, such as openi or mimic-cxr, or with classes, such as cxr-pneumonia",
    )


def drawn_prompts(split: Split, count: int, seed: int) -> Sequence[str]:
    """Return captions of the split's items in random order, each as often as the next, for `count` samples."""
    captions = captions_of(split)
    rounds = -(-count // len(captions))
    rng = np.random.default_rng([seed, 0x7E])
    order = np.concatenate([rng.permutation(len(captions)) for _ in range(rounds)])[:count]
    return [captions[number] for number in order]
