"""The synthetic images that look like a particular training patient: which file, whose copy, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.images.registration import align

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Split

    Columns = Mapping[str, NDArray[np.generic]]
    Floats = NDArray[np.float64]

ALIGNED = 60
"""Pairs that are compared at full size: 0.15 s each for X-rays of 224 pixels."""
CERTAIN, REVIEW = "near-certain", "review"
COLUMNS = ("file", "train_file", "patient", "detector", "similarity", "full_size", "reason", "confidence")


@dataclass(frozen=True)
class FullSize:
    """Opens images at their own size: a file's (rows, columns) or (x, y, z), by its position."""

    synthetic: Callable[[int], Array]
    real: Callable[[int], Array]
    """By position in train, then held-out."""


def list_suspects(matches: Mapping[str, Columns], synthetic: Split, real: Split, full_size: FullSize) -> pd.DataFrame:
    """Return one row per synthetic image that any detector withholds, the most certain first.

    Args:
        matches: by detector, the columns of matches.parquet.
        synthetic: N synthetic images.
        real: all real images, train first; without held-out ones, `heldout_row` is -1.
        full_size: opens images at full size.

    Columns: COLUMNS, and `synthetic`, `train_row`, `heldout_row`. `similarity` is that of the detector that is most
    certain; `full_size` is the correlation at full size once both images are aligned. `near-certain` is a verbatim
    copy, or a pair that is more alike at full size than every pair of a suspect and its nearest held-out image.
    """
    rows = [_row(number, matches, synthetic, real) for number in flagged(matches)]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "synthetic", "train_row", "heldout_row"])
    if not len(table):
        return table
    table = table.sort_values(["reason", "similarity"], ascending=False, kind="stable").reset_index(drop=True)
    own, other = _compared(table.head(ALIGNED), full_size)
    chance = other.max() if len(other) else np.inf
    table["full_size"] = np.concatenate([own, np.full(len(table) - len(own), np.nan)])
    certain = (table["reason"] == "verbatim") | (table["full_size"] > chance)
    table["confidence"] = certain.map({True: CERTAIN, False: REVIEW})
    order = ["confidence", "full_size", "similarity"]
    return table.sort_values(order, ascending=[True, False, False], kind="stable").reset_index(drop=True)


def flagged(matches: Mapping[str, Columns]) -> NDArray[np.int64]:
    """Return the positions of the synthetic images that any detector withholds."""
    return np.flatnonzero(np.any([columns["withhold"].astype(bool) for columns in matches.values()], axis=0))


def _row(number: int, matches: Mapping[str, Columns], synthetic: Split, real: Split) -> dict[str, object]:
    """Describe one suspect by the detector that finds it the least likely by chance."""
    name = min(
        (name for name, columns in matches.items() if columns["withhold"][number]),
        key=lambda name: (matches[name]["reason"][number] != "verbatim", _place(matches[name], number)),
    )
    columns = matches[name]
    train = int(columns["train_row"][number])
    return {
        "file": synthetic.items[number],
        "train_file": real.items[train],
        "patient": real.subjects[train],
        "detector": name,
        "similarity": float(columns["similarity"][number]),
        "reason": str(columns["reason"][number]),
        "synthetic": number,
        "train_row": train,
        "heldout_row": int(columns["heldout_row"][number]),
    }


def _place(columns: Columns, number: int) -> int:
    """Return how many samples are nearer to held-out images than this one is to its training image."""
    return int(np.sum(columns["heldout_similarity"] >= columns["similarity"][number]))


def _compared(table: pd.DataFrame, full_size: FullSize) -> tuple[Floats, Floats]:
    """Return the correlations at full size of each suspect with its training image, and with its held-out image."""
    own, other = [], []
    for number, train, heldout in table[["synthetic", "train_row", "heldout_row"]].to_numpy(dtype=int).tolist():
        image = full_size.synthetic(number)
        own.append(align(image, full_size.real(train)).correlation)
        if heldout >= 0:
            other.append(align(image, full_size.real(heldout)).correlation)
    return np.array(own), np.array(other)
