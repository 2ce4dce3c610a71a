"""Exposed patients by target-decoy competition between patients: the headline of protocol p2.

Held-out patients are decoys. Each synthetic sample goes to its nearest real patient, in train and held-out together.
Patients are ordered by their most similar sample, nearest first, and read from the top: D_x training patients come
before the x-th held-out one, whose similarity is t_x. If nobody was copied, a patient's side is a label that the model
could not see: all orders of the labels are equally likely, whatever the images look like, so D_x is negative
hypergeometric, exactly. A copied patient only adds to it. So with bounds q_x that all K_x obey at once with 97.5 %

    max over x <= X of (D_x - q_x)  <=  exposed above t_X  <=  D_X

Target-decoy competition: Elias & Gygi 2007; knockoffs: Barber & Candes 2015 (1404.5609); bounds that hold for all x at
once: Katsevich & Ramdas 2020 (1803.06790), Li et al. 2023 (2302.11837). There the counts are binomial and bounded; here
the sides are drawn without replacement, and the bounds are exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]

SPENDING = (0.02, 0.0225, 0.025)
"""Cumulated error of the lower end at x = 1, 2, 3: most of it at the first held-out patient, where the power is."""
Spending = tuple[float, ...]
DEEPEST = 20
"""The upper end is read no deeper than at the 20th held-out patient."""
PRECISION = 0.013
"""Share of samples that chance may add to the upper end (in expectation) for less similar copies to be covered."""


@dataclass(frozen=True)
class Nearest:
    """The nearest real patient of each of N synthetic samples."""

    similarity: Floats
    """(N,)."""
    patient: Codes
    """(N,) 0 .. train - 1 are training patients, train .. train + heldout - 1 held-out ones."""
    train: int
    """T, training patients, whether or not a sample is near them."""
    heldout: int
    """H, held-out patients."""
    priority: Floats
    """(T + H,) decides between patients of equal similarity; drawn without regard to the sides."""

    def swapped(self) -> Nearest:
        """Return the same with the sides exchanged: held-out patients as if they were training patients."""
        patient = np.where(self.patient < self.train, self.patient + self.heldout, self.patient - self.train)
        return Nearest(self.similarity, patient, self.heldout, self.train, np.roll(self.priority, self.heldout))


def divided(spending: Spending, among: int) -> Spending:
    """Return the error of each of several intervals, so that all of them hold with that of one (Bonferroni).

    The bound holds however much the intervals have in common: detectors see the same images.
    """
    return tuple(error / among for error in spending)


def priorities(train: int, heldout: int, seed: int) -> Floats:
    """Draw a random order of all patients, (T + H,), for ties."""
    return np.random.default_rng([seed, train, heldout]).permutation(train + heldout).astype(np.float64)


def tie_seed(dealt: Sequence[str], seed: int) -> int:
    """Return a seed of `priorities` for one split; dealt (M,) names the unit of each real image, by side.

    Patients are numbered by side, so that one order for all splits would always put the same sides first: with equal
    similarities the lower end would then be too high in all splits of some sizes, and in none of others. Pairs of the
    bound on epsilon need it for the same reason, where similarity follows the order of the images.
    """
    text = "\n".join([str(seed), *dealt])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def nearest_of(
    train_similarity: Floats,
    train_patient: Codes,
    heldout_similarity: Floats,
    heldout_patient: Codes,
    *,
    train: int,
    heldout: int,
    seed: int,
) -> Nearest:
    """Decide which side each sample goes to.

    Args:
        train_similarity: (N,) to the nearest training item.
        train_patient: (N,) its patient, 0 .. train - 1.
        heldout_similarity: (N,) to the nearest held-out item.
        heldout_patient: (N,) its patient, 0 .. heldout - 1.
        train: training patients.
        heldout: held-out patients, 0 or more (then the held-out arrays are not read).
        seed: of the order that breaks ties.

    A tie between the two sides goes to the patient that comes first in a random order of all patients. That is fair if
    no second patient of one side ties with them; `nearest_of_patients` is fair with any ties.
    """
    order = priorities(train, heldout, seed)
    if not heldout:
        return Nearest(train_similarity, train_patient, train, 0, order)
    first = order[train_patient] < order[train + heldout_patient]
    to_train = (train_similarity > heldout_similarity) | ((train_similarity == heldout_similarity) & first)
    return Nearest(
        np.where(to_train, train_similarity, heldout_similarity),
        np.where(to_train, train_patient, train + heldout_patient),
        train, heldout, order,
    )  # fmt: skip


def nearest_of_patients(by_train: Floats, by_heldout: Floats, *, seed: int) -> Nearest:
    """Decide from the greatest similarity to every patient, (n, T) and (n, H): ties of any kind are broken fairly.

    Blocks of samples give the same answer as all at once: the order of patients depends on the seed and T, H only.
    """
    train, heldout = by_train.shape[1], by_heldout.shape[1]
    order = priorities(train, heldout, seed)
    every = np.concatenate([by_train, by_heldout], axis=1)
    best = every.max(axis=1)
    patient = np.where(every == best[:, None], order, np.inf).argmin(axis=1)
    return Nearest(best, patient, train, heldout, order)


def join(blocks: list[Nearest]) -> Nearest:
    """Put blocks of samples of one cohort together."""
    first = blocks[0]
    return Nearest(
        np.concatenate([block.similarity for block in blocks]),
        np.concatenate([block.patient for block in blocks]),
        first.train, first.heldout, first.priority,
    )  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """Distinct patients from the nearest down."""

    patients: Codes
    """(m,) the patients that are nearest to some sample, in falling order of their best similarity."""
    best: Floats
    """(m,) that similarity."""
    heldout: Codes
    """(h,) positions of held-out patients in it."""


def walk(nearest: Nearest) -> Walk:
    """Order the patients that are nearest to any sample by their most similar sample."""
    best = np.full(nearest.train + nearest.heldout, -np.inf)
    np.maximum.at(best, nearest.patient, nearest.similarity)
    met = np.unique(nearest.patient)
    patients = met[np.lexsort((nearest.priority[met], -best[met]))]
    return Walk(patients, best[patients], np.flatnonzero(patients >= nearest.train))


@dataclass(frozen=True)
class Point:
    """The competition read at the x-th held-out patient."""

    x: int
    """Held-out patients met, the last one at the threshold."""
    threshold: float | None
    """t_x; nothing where fewer than x held-out patients are nearest to any sample: then all samples count."""
    passed: int
    """D_x, training patients before it."""
    clusters: Codes
    """(D_x,) samples of each that are at least as similar as t_x, the largest first."""
    heldout_clusters: Codes
    """(x - 1,) the same of the held-out patients before it, or of all that are nearest to a sample."""

    @property
    def samples(self) -> int:
        """R_x, samples above t_x whose nearest patient is a training patient."""
        return int(self.clusters.sum())


def points(nearest: Nearest, numbers: list[int]) -> list[Point]:
    """Read the competition at these x, each at least 1."""
    order = walk(nearest)
    rank = np.full(nearest.train + nearest.heldout, len(order.patients))
    rank[order.patients] = np.arange(len(order.patients))
    ranks = rank[nearest.patient]
    return [_point(nearest, order, ranks, x) for x in numbers]


def _point(nearest: Nearest, order: Walk, ranks: Codes, x: int) -> Point:
    met = x <= len(order.heldout)
    end = int(order.heldout[x - 1]) if met else len(order.patients)
    level = float(order.best[end]) if met else -np.inf
    above = (ranks < end) & (nearest.similarity >= level)
    sizes = np.bincount(ranks[above], minlength=end)
    held = order.patients[:end] >= nearest.train
    return Point(
        x=x,
        threshold=level if met else None,
        passed=int((~held).sum()),
        clusters=np.sort(sizes[~held])[::-1],
        heldout_clusters=sizes[held],
    )


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: low <= value <= high."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the curve over thresholds."""

    x: int
    threshold: float | None
    passed: int
    """Training patients more similar than the threshold: D_x."""
    samples: int
    """Samples that are."""
    patients: Estimate
    """Exposed patients above this threshold."""


@dataclass(frozen=True)
class Exposed:
    """The headline of protocol p2."""

    patients: Estimate
    """Training patients with a copy more similar than `threshold`; the ends are whole numbers."""
    samples: Estimate
    """Share of samples that are such copies, 0 to 1."""
    threshold: float | None
    """Copies less similar than this are not spoken of; nothing where all samples are spoken of."""
    depth: int
    """X: the threshold is the similarity of the X-th held-out patient."""
    curve: tuple[Row, ...]
    """The same at other thresholds."""


def exposed(nearest: Nearest, *, spending: Spending = SPENDING) -> Exposed:
    """Estimate how many training patients are copied, and by which share of samples, with 95 % intervals.

    Args:
        nearest: the nearest patient of each sample, at least one sample.
        spending: cumulated error of the lower end at x = 1, 2, ... (`negative_hypergeometric.boundary`).

    The interval is about the given set of samples and copies more similar than its threshold t_X, X as `depth` says.
    Its lower end is too high in at most 2.5 % of random splits, whatever the generator does; its upper end counts every
    training patient above t_X, so it is never too low. For the share, D_x - q_x patients become R_x minus the samples
    of the q_x largest clusters: no choice of the patients that chance has put there takes away more. The upper end is
    never below that of 0 of N random draws, 1 - 0.025^(1 / N).
    """
    readings = points(nearest, list(range(1, DEEPEST + 4)))
    bounds = chance.boundary(nearest.train, nearest.heldout, spending)
    last, count = readings[depth(readings, nearest) - 1], len(nearest.similarity)
    read = list(zip(readings[: last.x], bounds, strict=False))
    low = max(0, *(point.passed - bound for point, bound in read))
    copies = max(0, *(int(point.clusters[bound:].sum()) for point, bound in read))
    middle = max(1, last.x // 2)
    patients, samples = _unbiased(readings[middle - 1], readings[middle], nearest)
    most = max(last.samples / count, 1 - 0.025 ** (1 / count))
    return Exposed(
        _ordered(patients, low, last.passed),
        _ordered(samples / count, copies / count, most),
        last.threshold,
        last.x,
        curve(readings[:DEEPEST], bounds, nearest),
    )


def depth(readings: list[Point], nearest: Nearest) -> int:
    """Return X, the held-out patient at which the upper end is read: the deeper, the less similar copies it covers.

    As deep as chance adds at most PRECISION of the samples, E[K_x] patients of the size of held-out clusters, which are
    read two thresholds further on, where they are larger and more; 2 at least, DEEPEST at most. The upper end is never
    too low at any depth, so looking at the data costs no error.
    """
    count = len(nearest.similarity)
    for x in range(2, DEEPEST):
        following, beyond = readings[x], readings[x + 2]  # at x + 1 and x + 3
        by_chance = chance.mean(nearest.train, nearest.heldout, x + 1) * _cluster(beyond)
        if by_chance > PRECISION * count or following.threshold is None:
            return x
    return DEEPEST


def _unbiased(point: Point, beyond: Point, nearest: Nearest) -> tuple[float, float]:
    """Exposed patients e and samples above t_x: solve D = e + E[K], K of the T - e patients that were not copied."""
    share = point.x / (nearest.heldout + 1)
    if point.threshold is None:
        patients = max(0.0, point.passed - share * nearest.train)
    else:
        patients = (point.passed - share * nearest.train) / (1 - share)
    return patients, point.samples - (point.passed - patients) * _cluster(beyond)


def _cluster(beyond: Point) -> float:
    """Mean samples of a patient that chance has put above t_x, read from the x held-out ones above t_(x + 1).

    Take an order with such a training patient and make it a held-out one: now t_x is the (x + 1)-th threshold, and the
    patient one of the x before it. Orders being equally likely, E[samples by chance] = E[K_x] * E[this mean], up to
    1 / H. The x - 1 held-out patients above t_x itself have smaller clusters: each of them has stopped the walk sooner.
    """
    return float(beyond.heldout_clusters.mean()) if len(beyond.heldout_clusters) else 1.0


def _ordered(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=float(min(max(value, low), high)), low=float(low), high=float(high))


def curve(readings: list[Point], bounds: tuple[int, ...], nearest: Nearest) -> tuple[Row, ...]:
    """Tell what stands above each threshold that was read, as far as held-out patients are nearest to samples.

    All rows hold at once, with 97.5 %: who is exposed above a threshold is so above every lower one.
    """
    rows, low = [], 0
    for point in readings:
        if point.x <= len(bounds):
            low = max(low, point.passed - bounds[point.x - 1])
        value = _unbiased(point, point, nearest)[0]
        patients = _ordered(value, low, point.passed)
        rows.append(Row(point.x, point.threshold, point.passed, point.samples, patients))
        if point.threshold is None:
            break
    return tuple(rows)
