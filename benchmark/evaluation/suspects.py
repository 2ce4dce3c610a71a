"""The synthetic images that look like a particular training patient: which file, whose copy, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.images.registration import Placement, find_placement, move

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Split

    Columns = Mapping[str, NDArray[np.generic]]
    Floats = NDArray[np.float64]

ALIGNED = 60
"""Pairs that are compared at full size: 0.11 s of one core each for X-rays of 224 pixels."""
CERTAIN, REVIEW = "near-certain", "review"
AT_FULL_SIZE = "full size"
"""The reason of an image that no detector withholds, and that is a copy once it is aligned at full size."""
COLUMNS = ("file", "train_file", "patient", "detector", "similarity", "full_size", "reason", "confidence")


@dataclass(frozen=True)
class FullSize:
    """Opens images at their own size: a file's (rows, columns) or (x, y, z), by its position.

    With several `channels` both functions take the position of a channel as a second argument, 0 if it is not given.
    Images are aligned by their first channel.
    """

    synthetic: Callable[..., Array]
    real: Callable[..., Array]
    """By position in train, then held-out."""
    channels: tuple[str, ...] = ()
    """Names of the channels, where there are several."""
    placements: dict[tuple[int, int], Placement] = field(default_factory=dict)
    """How real images are moved onto synthetic ones, by both positions, as far as it was searched."""

    def placement(self, number: int, row: int) -> Placement:
        """Return how a real image is moved onto a synthetic one; each pair is searched once, whoever asks."""
        if (number, row) not in self.placements:
            self.placements[number, row] = find_placement(self.synthetic(number), self.real(row))
        return self.placements[number, row]

    def correlation(self, number: int, row: int) -> float:
        """Return the correlation of a synthetic and a real image at full size, once aligned."""
        return move(self.synthetic(number), self.real(row), self.placement(number, row)).correlation


def list_suspects(
    matches: Mapping[str, Columns], synthetic: Split, real: Split, full_size: FullSize, *, further: bool = False
) -> pd.DataFrame:
    """Return one row per synthetic image that any detector withholds, the most certain first.

    Args:
        matches: by detector, the columns of matches.parquet.
        synthetic: N synthetic images.
        real: all real images, train first; without held-out ones, `heldout_row` is -1.
        full_size: opens images at full size.
        further: also align images that no detector withholds, as many as make up ALIGNED pairs, and list those that
            are `striking`.

    Columns: COLUMNS, and `synthetic`, `train_row`, `heldout_row`, `striking`. `similarity` is that of the detector that
    is most certain; `full_size` is the correlation at full size once both images are aligned. A verbatim copy is
    `striking`, and a pair of which 1 - correlation is less than half of that of the closest of up to ALIGNED pairs of a
    synthetic image and its nearest held-out image: far from chance, even where such suspects are too few for an
    interval above 0. These are `near-certain`. To be closer than all chance pairs is not enough: where nothing is
    copied, the closest of all pairs is one with a training image in half of the cases.
    """
    listed = flagged(matches)
    rows = [_row(number, _surest(matches, number), matches, synthetic, real) for number in listed]
    if further:
        rows += _further_rows(matches, synthetic, real, max(0, ALIGNED - len(listed)))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "synthetic", "train_row", "heldout_row"])
    if not len(table):
        return table.assign(striking=False)
    table = table.sort_values(["reason", "similarity"], ascending=False, kind="stable").reset_index(drop=True)
    own = _compared(table.head(ALIGNED)[["synthetic", "train_row"]].to_numpy(dtype=int), full_size)
    chance = _by_chance(matches, full_size) if (table["reason"] != "verbatim").any() else np.inf
    table["full_size"] = np.concatenate([own, np.full(len(table) - len(own), np.nan)])
    table["striking"] = (table["reason"] == "verbatim") | (1 - table["full_size"] < (1 - chance) / 2)
    table["confidence"] = table["striking"].map({True: CERTAIN, False: REVIEW})
    table = table[(table["reason"] != AT_FULL_SIZE) | table["striking"]]
    order = ["confidence", "full_size", "similarity"]
    return table.sort_values(order, ascending=[True, False, False], kind="stable").reset_index(drop=True)


def _further_rows(matches: Mapping[str, Columns], synthetic: Split, real: Split, count: int) -> list[dict[str, object]]:
    """Describe up to `count` images that no detector withholds, those furthest from chance first.

    A cropped copy has a low similarity at the grid of the search, and yet one that is higher than to anybody else.
    Images that are equally similar to a held-out one are left out: nothing speaks for the training image.
    """
    leads = {name: _lead(columns) for name, columns in matches.items()}
    most = np.max(list(leads.values()), axis=0)
    most[flagged(matches)] = 0
    numbers = [int(number) for number in np.argsort(-most, kind="stable")[:count] if most[number] > 0]
    return [
        _row(number, max(leads, key=lambda name: leads[name][number]), matches, synthetic, real)
        | {"reason": AT_FULL_SIZE}
        for number in numbers
    ]


def _lead(columns: Columns) -> Floats:
    """Return how much more similar each image is to its training image than to its held-out image, in spreads, (N,).

    Spreads make detectors comparable. Where nobody is held out, there is no lead.
    """
    lead = columns["similarity"].astype(float) - columns["heldout_similarity"].astype(float)
    lead = np.where(np.isfinite(lead) & (columns["heldout_row"].astype(int) >= 0), lead, 0.0)
    spread = lead.std()
    return lead / spread if spread > 0 else np.zeros(len(lead))


def _by_chance(matches: Mapping[str, Columns], full_size: FullSize) -> float:
    """Return the greatest correlation at full size of a synthetic and a held-out image; infinite without such."""
    correlations = _compared(_nearest_heldout(matches), full_size)
    return float(correlations.max()) if len(correlations) else np.inf


def _nearest_heldout(matches: Mapping[str, Columns]) -> NDArray[np.int64]:
    """Return the pairs of a synthetic and a held-out image that detectors find most alike, (n, 2), n up to ALIGNED."""
    each = -(-ALIGNED // len(matches))
    pairs = []
    for columns in matches.values():
        nearest = np.argsort(-columns["heldout_similarity"].astype(float), kind="stable")[:each]
        pairs.append(np.stack([nearest, columns["heldout_row"][nearest]], axis=1))
    pairs_of_all = np.unique(np.concatenate(pairs), axis=0)
    kept: NDArray[np.int64] = pairs_of_all[pairs_of_all[:, 1] >= 0]
    return kept


def flagged(matches: Mapping[str, Columns]) -> NDArray[np.int64]:
    """Return the positions of the synthetic images that any detector withholds."""
    return np.flatnonzero(np.any([columns["withhold"].astype(bool) for columns in matches.values()], axis=0))


def _surest(matches: Mapping[str, Columns], number: int) -> str:
    """Return the detector that withholds an image and finds it the least likely by chance."""
    return min(
        (name for name, columns in matches.items() if columns["withhold"][number]),
        key=lambda name: (matches[name]["reason"][number] != "verbatim", _place(matches[name], number)),
    )


def _row(number: int, name: str, matches: Mapping[str, Columns], synthetic: Split, real: Split) -> dict[str, object]:
    """Describe one suspect by what one detector finds."""
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


def _compared(pairs: NDArray[np.int64], full_size: FullSize) -> Floats:
    """Return the correlation at full size of each pair (n, 2) of a synthetic and a real image, once aligned, (n,)."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array(list(pool.map(lambda pair: full_size.correlation(*pair), pairs.tolist())))
