"""Metrics of nearest neighbours with patients as the unit: what `neighbours`, `quality` and `published` took for items.

DCR needs as many patients on both sides, not as many items; calibrated L2 its 50 neighbours of 50 patients, not of one;
MiFID all of train; C_T and the rule of Dar et al. an interval, and a null, by patient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.bootstrap import percentile_interval, resample_patients, share_interval
from benchmark.metrics.calibration import patient_share
from benchmark.metrics.nearest_neighbours import c_t

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.metrics.copy_rate import PatientScores

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]

NEAREST = 50
RESAMPLES = 200
LEVEL = 0.95


def equal_patients(train: Codes, heldout: Codes, *, seed: int) -> tuple[Codes, Codes]:
    """Choose as many random patients of each side, with all their items: positions of items, in rising order.

    Args:
        train: (M,) patient of each training item, from 0.
        heldout: (L,) the same of the held-out bank.
        seed: of the choice.

    The share of samples that are nearer to the first than to the second is then 0.5 without copying. With as many items
    instead, the side with more images of each patient would have fewer patients, and read farther away.
    """
    rng = np.random.default_rng([seed, len(train), len(heldout)])
    sides = [np.unique(train), np.unique(heldout)]
    count = min(map(len, sides))
    chosen = [rng.permutation(side)[:count] for side in sides]
    first, second = (np.flatnonzero(np.isin(codes, some)) for codes, some in zip((train, heldout), chosen, strict=True))
    return first, second


def nearest_patients(similarity: Floats, codes: Codes, keep: int = NEAREST) -> Floats:
    """Reduce a block (n, M) to the greatest similarities of `keep` different patients, falling, (n, min(keep, P))."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    by_patient = np.maximum.reduceat(similarity[:, order], starts, axis=1)
    last = min(keep, by_patient.shape[1])
    top = np.partition(by_patient, by_patient.shape[1] - last, axis=1)[:, -last:]
    return np.asarray(-np.sort(-top, axis=1))


def nearest_others(
    similarity: Floats, own: Codes, codes: Codes, keep: int, *, seed: int
) -> tuple[Codes, NDArray[np.float64]]:
    """Return positions and similarities of the `keep` most similar items of other patients, (n, keep), falling.

    Args:
        similarity: (n, M) a block of real items against all real items.
        own: (n,) patient, or unit of the split, of each row.
        codes: (M,) the same of each column, numbered alike.
        keep: fewer than the items of other patients.
        seed: of the order that decides between equal columns: training items come first in a bank, and must not win.

    For `split_test` and, its first column, for `withhold.verbatim_level`.
    """
    order = np.random.default_rng([seed, len(codes)]).permutation(len(codes))
    shuffled = np.where(own[:, None] == codes[order], -np.inf, similarity[:, order])
    # A partition, not a sort: M steps per row, not M log M. Which of several equal columns it keeps depends on their
    # shuffled places alone, so that no side wins; the kept ones are then sorted, equal ones by these places.
    some = np.sort(np.argpartition(-shuffled, keep - 1, axis=1)[:, :keep], axis=1)
    falling = np.argsort(-np.take_along_axis(shuffled, some, axis=1), axis=1, kind="stable")
    top = np.take_along_axis(some, falling, axis=1)
    return order[top], np.take_along_axis(shuffled, top, axis=1).astype(np.float64)


def memorisation_distances(synthetic: Floats, train: Iterable[Floats]) -> NDArray[np.float64]:
    """Return 1 - |cosine| of synthetic features (N, D) to the nearest of all training features, (N,).

    `train` yields blocks (m, D): memory is N times the rows of a block, in float64. MiFID (Bai et al. 2021) needs the
    least distance over all of train; over a part of it a copy of the rest is missed.
    """
    made, nearest = _unit(synthetic), np.zeros(len(synthetic))
    for block in train:
        nearest = np.maximum(nearest, np.abs(made @ _unit(block).T).max(axis=1))
    return np.asarray(1 - nearest)


def _unit(rows: Floats) -> Floats:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def c_t_score(
    first: Floats, first_cells: Codes, first_codes: Codes, second: Floats, second_cells: Codes, second_codes: Codes
) -> Score:
    """C_T as `neighbours.c_t`, with a 95 % interval over patients of both sides.

    Args:
        first: (N,) distances of synthetic (or test) items.
        first_cells: (N,) their cells.
        first_codes: (N,) their patients, from 0; synthetic items are their own.
        second: (M,) distances of held-out items.
        second_cells: (M,) their cells.
        second_codes: (M,) their patients.

    C_T is a z value that takes items as independent. With 20 slices per patient its spread without copying is several
    times 1, and the interval shows that.
    """
    whole = c_t(first, first_cells, second, second_cells)
    if whole.value is None:
        return whole

    def once(rng: Generator) -> float:
        a, b = resample_patients(first_codes, rng)[0], resample_patients(second_codes, rng)[0]
        value = c_t(first[a], first_cells[a], second[b], second_cells[b]).value
        return whole.value if value is None else value  # type: ignore[return-value]  # no cell was full in this resample

    low, high = percentile_interval(once, whole.value, resamples=RESAMPLES)
    return replace(whole, low=low, high=high)


def dar2025_test(
    to_validation: PatientScores, to_train: PatientScores, to_synthetic: PatientScores
) -> dict[str, Score]:
    """What the rule of Dar et al. 2025 reads for patients that no model has seen: the null beside N_mem and N_copies.

    Args:
        to_validation: training items to their nearest validation item; tau is its 95th percentile.
        to_train: items of test patients to their nearest training item: `n_copies_test`, as if they were synthetic.
        to_synthetic: items of test patients to their nearest synthetic item: `n_mem_test`, as if they were training.

    Test patients weigh the same. `n_mem_test` is the null of N_mem for this very synthetic set. `n_copies_test` is that
    of N_copies for a generator as varied as real patients; blurred images read more without copying anybody.
    """
    queries = {"n_mem_test": to_synthetic, "n_copies_test": to_train}
    return {f"published.dar2025.{name}": _above_tau(sample, to_validation) for name, sample in queries.items()}


def _above_tau(queries: PatientScores, to_validation: PatientScores) -> Score:
    def share(sample: PatientScores, reference: PatientScores) -> float:
        return patient_share(sample.values > np.quantile(reference.values, LEVEL), sample.codes)

    def once(rng: Generator) -> float:
        return share(queries.resample(rng), to_validation.resample(rng))

    value = share(queries, to_validation)
    low, high = share_interval(once, value, seed=0, patients=queries.patients)
    return Score(value=value, low=low, high=high, n=len(queries.values))
