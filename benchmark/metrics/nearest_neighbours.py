"""Nearest-neighbour metrics of the literature, each computed for synthetic items and for items of test patients.

All use a detector's unit rows: similarity s is a cosine, distance is the Euclidean one, d = sqrt(2 - 2 s). None of them
reads 0 for every generator that copies nobody: compare each with its value for test patients, which the record holds,
too. Sources: DCR share: SDMetrics; nearest-neighbour ratio: diffusion literature; calibrated L2: Carlini et
al. 2023 (2301.13188); authenticity: Alaa et al. 2022 (2102.08921); C_T: Meehan et al. 2020 (2004.05675); m3: m3-score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.bootstrap import percentile_interval, resample_patients, share_interval
from benchmark.metrics.calibration import mann_whitney_u, patient_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.core.types import Direction

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]

NEAREST = 50
"""Training items that calibrated L2 averages over (Carlini et al.)."""
RATIO = 1 / 3
RESAMPLES = 200
CELL_ITEMS = 20
"""Fewest items of each side in a cell of C_T: with fewer, the normal law of U is a poor approximation."""


@dataclass(frozen=True)
class Near:
    """Similarities of N queries to the real items: one per query, or the k greatest in falling order."""

    codes: Codes
    """(N,) patient of each query; synthetic items are their own."""
    train: Floats
    """(N, k) to the nearest training items."""
    index: Codes
    """(N,) which training item is nearest."""
    equal: Floats
    """(N,) to the nearest item of random training patients, as many as calibration patients are compared with."""
    heldout: Floats
    """(N,) to the nearest item of as many random calibration patients."""
    by_patient: Floats
    """(N, k) to the nearest patients of train, one similarity per patient, in falling order."""

    def take(self, index: Codes, codes: Codes) -> Near:
        """Return the queries at these positions, with new patient codes."""
        return Near(
            codes, self.train[index], self.index[index], self.equal[index], self.heldout[index], self.by_patient[index]
        )


def distance(similarity: Floats) -> Floats:
    """Return Euclidean distances of unit rows from their cosines, both of any shape.

    An inner product of rounded unit rows may exceed 1 by some 1e-7: its distance is set to 0.
    """
    return np.asarray(np.sqrt(np.maximum(0.0, 2 - 2 * similarity)))


def dcr_share(near: Near) -> Score:
    """Share of queries nearer to random training patients than to as many held-out ones; ties count half.

    Lower is better, 0.5 without copying. Patients, not items, are equal in number: a side with more images per patient
    would have fewer patients, and seem farther away. Blind to copies of training patients that are not drawn.
    """
    return _share(near, lambda n: _mean((n.equal > n.heldout) + 0.5 * (n.equal == n.heldout), n.codes), "lower")


def ratio_share(near: Near) -> Score:
    """Share of queries whose nearest training item is three times nearer than the second nearest.

    Lower is better, about 0 without copying. A copied patient with two alike images hides it.
    """
    return _share(near, lambda n: _mean(_ratio(n) < RATIO, n.codes), "lower")


def ratio_median(near: Near) -> Score:
    """Median of d1 / d2 over queries: the nearest and second nearest training item. Higher is better, 1 at most."""
    return _quantity(near, lambda n: float(np.median(_ratio(n))), "higher")


def calibrated_l2(near: Near, alpha: float = 0.5) -> Score:
    """Lower 5 % quantile over queries of d1 / (alpha * mean distance to the 50 nearest training patients).

    Higher is better; without copying it is that of test patients. A quantile, not a share: Carlini et al. take their
    cut by eye. Fifty different patients, not items: the 50 nearest slices may all be of one patient. Where train has
    fewer patients, all are averaged.
    """

    def quantile(n: Near) -> float:
        far = distance(n.by_patient)
        scale = alpha * far[:, :NEAREST].mean(axis=1)
        return float(np.quantile(np.divide(far[:, 0], scale, out=np.zeros(len(far)), where=scale > 0), 0.05))

    return _quantity(near, quantile, "higher")


def auth_share(near: Near, within: Floats) -> Score:
    """Share of queries farther from their nearest training item than that is from its nearest other training item.

    Higher is better; the value of test patients is what to expect. `within`: (M,) similarity of each training item to
    its nearest other one. Reads copies of isolated patients only: in a dense cluster even copies pass.
    """
    return _share(near, lambda n: _mean(n.train[:, 0] < within[n.index], n.codes), "higher")


def m3_share(near: Near, within: Floats) -> Score:
    """Share of queries nearer to train than half of the training items are to each other (m3-score's rule).

    `within`: (M,) as in `auth_share`. Lower is better, but about 0.5 for a perfect generator: compare it with the value
    of test patients.
    """
    median = np.median(within)
    return _share(near, lambda n: _mean(n.train[:, 0] > median, n.codes), "lower")


def cells(rows: Floats, count: int, *, seed: int = 0) -> Callable[[Floats], Codes]:
    """Cut the space of unit rows by k-means on `rows` (M, D); the result maps (N, D) to cells (N,)."""
    from sklearn.cluster import KMeans

    means = KMeans(count, n_init=1, random_state=seed).fit(rows.astype(np.float64))
    return lambda others: np.asarray(means.predict(others.astype(np.float64)), dtype=np.int64)


def c_t(first: Floats, first_cells: Codes, second: Floats, second_cells: Codes) -> Score:
    """Data-copying test: z of "first is farther than second" by Mann-Whitney in each cell, weighted by second's cells.

    Args:
        first: (N,) distances of synthetic items to their nearest training item.
        first_cells: (N,) their cells.
        second: (M,) distances of held-out items to their nearest training item.
        second_cells: (M,) their cells.

    About 0 without copying, far below 0 with it. Swapped, with training and held-out items' distances to their nearest
    synthetic item, it tests the other side. Items count as independent, so that slices of one patient make z too large.
    Unlike in Meehan et al., the nearest item may be in another cell.
    """
    total, weight = 0.0, 0
    for cell in np.unique(second_cells):
        a, b = first[first_cells == cell], second[second_cells == cell]
        if min(len(a), len(b)) >= CELL_ITEMS:
            total += len(b) * _mann_whitney_z(a, b)
            weight += len(b)
    if not weight:
        reason = f"no cell holds {CELL_ITEMS} items of either side"
        return Score(value=None, n=len(first), reason=reason)
    return Score(value=total / weight, n=len(first), direction="higher")


def _mann_whitney_z(a: Floats, b: Floats) -> float:
    """Return how many standard deviations U of (N,) and (M,) is above what chance gives; without a tie correction."""
    pairs = len(a) * len(b)
    return float((mann_whitney_u(a, b) - pairs / 2) / np.sqrt(pairs * (len(a) + len(b) + 1) / 12))


def _ratio(near: Near) -> Floats:
    far = distance(near.train[:, :2])
    if far.shape[1] < 2:
        return np.ones(len(far))
    return np.divide(far[:, 0], far[:, 1], out=np.zeros(len(far)), where=far[:, 1] > 0)


def _mean(values: Floats | NDArray[np.bool_], codes: Codes) -> float:
    return float((values * patient_weights(codes)).sum())


def _share(near: Near, rule: Callable[[Near], float], direction: Direction) -> Score:
    """Score a share, with a 95 % interval over patients."""
    value, patients = rule(near), int(near.codes.max()) + 1
    low, high = share_interval(_resampled(near, rule), value, seed=0, patients=patients)
    return Score(value=value, low=low, high=high, n=len(near.codes), direction=direction)


def _quantity(near: Near, rule: Callable[[Near], float], direction: Direction) -> Score:
    """Score a quantity that is not a share, with a 95 % interval over patients."""
    value = rule(near)
    low, high = percentile_interval(_resampled(near, rule), value, resamples=RESAMPLES)
    return Score(value=value, low=low, high=high, n=len(near.codes), direction=direction)


def _resampled(near: Near, rule: Callable[[Near], float]) -> Callable[[Generator], float]:
    return lambda rng: rule(near.take(*resample_patients(near.codes, rng)))
