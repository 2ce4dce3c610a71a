"""Copies that are nearly identical, without held-out patients: all that can be told from training images alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.evaluation.protocol import Outcome
from benchmark.evaluation.real_neighbours import real_neighbours
from benchmark.metrics.withhold import IDENTICAL, verbatim, verbatim_level

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.detectors.bank import Bank
    from benchmark.evaluation.resumable_search import Searching
    from benchmark.search import Rows

NO_CONTROL = (
    "there are no held-out images, so that nothing tells altered copies from chance: only nearly identical ones can be "
    "found"
)


def search_verbatim(bank: Bank, synthetic: Rows, *, kept: Path, seed: int, searching: Searching) -> Outcome:
    """Score a set by its verbatim copies alone; the headline is refused.

    Args:
        bank: the training images.
        synthetic: rows of N samples.
        kept: folder for what depends on the training images alone.
        seed: of ties.
        searching: devices and memory.
    """
    neighbours = real_neighbours(bank, kept, searching, seed=seed)
    level = IDENTICAL if neighbours is None else verbatim_level(neighbours.similarity[:, 0])
    result = searching.search(synthetic, bank.rows)
    copied = verbatim(result.match.similarity, level)
    none = Score(value=None, n=synthetic.count, direction="lower", reason=NO_CONTROL)
    scores = {
        "exposed.items": none,
        "exposed.patients": none,
        "exposed.verbatim": Score(value=float(copied.sum()), n=synthetic.count, direction="lower"),
    }
    items, subjects = np.array(bank.real.items), np.array(bank.real.subjects)
    matches = {
        "train_item": items[result.match.index],
        "train_subject": subjects[result.match.index],
        "train_row": result.match.index,
        "similarity": result.match.similarity,
        "heldout_row": np.full(synthetic.count, -1),
        "heldout_similarity": np.full(synthetic.count, -1.0),
        "withhold": copied,
        "reason": np.where(copied, "verbatim", ""),
    }
    return Outcome(scores, (), matches, {}, {}, [], result.certificate.engine)
