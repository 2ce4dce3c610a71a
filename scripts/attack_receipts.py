"""What receipts tell of single patients: attacks on simulated runs, each with its AUC of training patients.

An attacker has the record, the receipt, all synthetic images, images of other patients of the same law, and the image
of one patient, whose similarity to every sample he can compute. He wants to know on which side the patient was, or
whether he is of the cohort at all. For each number of a receipt he computes how much more likely its samples are at
their places if it is this patient than if it is any other (`ratios`). `order` adds these up by side; `outsider` looks
for anybody of the cohort among as many patients who are not; `threshold` looks for the patient of the published
similarity. `helped` knows a tenth of the cohort, with their sides and places, which no real attacker is told. `runs N`
links N receipts of one cohort by their groups of patients, `places N` takes the same receipts without the groups.
`samples` (of sides) and `cohort` (of the cohort among others) take no receipt: they are what synthetic images give away
by themselves, where a share of them are copies.

    python scripts/attack_receipts.py --draws 100
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.receipts import receipt_of
from benchmark.metrics.competition import Nearest, exposed, nearest_of_patients
from benchmark.metrics.replicates import GROUP
from benchmark.records.receipt import Receipt

Floats = NDArray[np.float64]
DIMENSION = 12
KNOWN = 10
"""Patients of the same law that the attacker has images of, for each patient of the cohort."""
LOOKED_AT = 8
"""Samples that a patient may be nearest to: his most similar ones."""
GRID = 100
"""Similarities at which the expected places are computed; between them they are interpolated."""
COMPARED = 4
"""Places of a number that are compared with these: the first ones, where few other patients come between."""
SPREAD = 2.0
"""Variance of guessed places over that of independent samples: samples that are alike have the same neighbours."""
TINY = 1e-12
"""Added before a logarithm: where all patients of a side are listed, a patient may be none of them."""
STRAY = 0.02
"""Share of a patient's samples at places that the attacker did not expect."""


@dataclass(frozen=True)
class Published:
    """One synthetic set of a cohort, what is published of it, and what the attacker computes."""

    nearest: Nearest
    receipt: Receipt
    own: Floats
    """(T + H,) the greatest similarity of any sample to each patient."""
    others: Floats
    """The same of as many patients who are not of the cohort."""
    ratios: Floats
    """(T + H, numbers of the receipt) `ratios_of` each patient."""
    ratios_of_others: Floats

    @property
    def sides(self) -> NDArray[np.bool_]:
        """(numbers,) which of them are training patients."""
        return np.isin(np.arange(len(self.receipt.order.groups)), self.receipt.order.training)


@dataclass(frozen=True)
class World:
    """One cohort, and several synthetic sets."""

    train: int
    heldout: int
    sets: list[Published]

    @property
    def trained(self) -> NDArray[np.bool_]:
        """(T + H,) whether each patient was trained on."""
        return np.arange(self.train + self.heldout) < self.train


def world(rng: np.random.Generator, train: int, heldout: int, samples: int, dose: float = 0.0, sets: int = 1) -> World:
    """Draw a cohort, others, and synthetic sets of which a share are near copies of training patients."""
    size = train + heldout
    people, strangers, known = (_unit(rng.standard_normal((many * size, DIMENSION))) for many in (1, 1, KNOWN))
    seed = int(rng.integers(2**32))
    published = []
    for _ in range(sets):
        made = rng.standard_normal((samples, DIMENSION))
        copies = round(dose * samples)
        made[:copies] = people[rng.integers(0, train, copies)] + 0.05 * rng.standard_normal((copies, DIMENSION))
        made = _unit(rng.permutation(made))
        published.append(_published(people @ made.T, strangers @ made.T, known @ made.T, train, seed))
    return World(train, heldout, published)


def _published(own: Floats, others: Floats, known: Floats, train: int, seed: int) -> Published:
    """Evaluate a set from its similarities: of the cohort (T + H, N), of as many others, and of known ones."""
    near = nearest_of_patients(own[:train].T, own[train:].T, seed=seed)
    receipt = receipt_of(
        near, own[:train].max(axis=0), own.max(axis=1), level=0.999, seen_level=0.999, split=None, pair_seed=seed,
        everyone=near, tied=0.0, different=own.shape[1], refusal="", scored=True, uneven=False,
    )  # fmt: skip
    rivals, depth = Rivals(known, len(own) - 1), exposed(near).depth
    return Published(
        near, receipt, own.max(axis=1), others.max(axis=1),
        ratios_of(own, receipt, depth, rivals), ratios_of(others, receipt, depth, rivals),
    )  # fmt: skip


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


class Rivals:
    """What the attacker expects of the other patients of a cohort, from known ones (K, N) of the same law."""

    def __init__(self, known: Floats, count: int) -> None:
        self._sorted, self._count = np.sort(known.T, axis=1), count
        self._levels = np.linspace(np.quantile(known[:, :50], 0.5), known.max(), GRID)
        above = np.array([len(known) - np.searchsorted(column, self._levels) for column in self._sorted])
        self._expected = (1 - self._unbeaten(above)).sum(axis=0)

    def _unbeaten(self, above: Floats | NDArray[np.int64]) -> Floats:
        """Return how likely no rival is above a level, of which so many known patients are above it."""
        return np.asarray((1 - (above + 0.5) / (self._sorted.shape[1] + 1)) ** self._count)

    def wins(self, similarity: Floats, samples: NDArray[np.int64]) -> Floats:
        """Return how likely a patient of these similarities is the nearest one of each of some samples."""
        return self._unbeaten((self._sorted[samples] > similarity[:, None]).sum(axis=1))

    def expected(self, similarity: Floats) -> Floats:
        """Return how many samples are expected to be more similar to a rival."""
        return np.interp(similarity, self._levels, self._expected)


def ratios_of(similarity: Floats, receipt: Receipt, depth: int, rivals: Rivals) -> Floats:
    """Return how much more likely each number of a receipt is a patient than any other of the cohort is.

    Args:
        similarity: (patients, N) to all samples.
        receipt: of the set.
        depth: X, which the record tells.
        rivals: what is expected of the others.

    The places at which a patient is expected are a Poisson process: each of his most similar samples is at a place that
    is normally distributed around the expected one, if no rival is nearer. The published similarity, whose place the
    receipt tells, is used to guess better: of the samples above it a binomial number is above the patient's.
    """
    order = np.array(receipt.order.patients)
    trained = np.isin(order, receipt.order.training)
    places, size = np.arange(len(order)), receipt.order.train + receipt.order.heldout
    at = _place_of_threshold(order, trained, depth)
    numbers = np.zeros((len(order), len(receipt.order.groups)))
    for number in range(numbers.shape[1]):
        numbers[np.flatnonzero(order == number)[:COMPARED], number] = 1
    ratios = np.ones((len(similarity), numbers.shape[1]))
    for patient, values in enumerate(similarity):
        best = np.argsort(-values)[:LOOKED_AT]
        wins = rivals.wins(values[best], best)
        middle, variance = _guessed(values[best], at, receipt.threshold, rivals)
        distance = places[:, None] - middle
        likely = wins * np.exp(-(distance**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        if at is not None and receipt.threshold is not None:
            likely *= (places[:, None] <= at) == (values[best] >= receipt.threshold)
        intensity = (1 - STRAY) * likely.sum(axis=1) + STRAY / size
        ratios[patient] = np.exp(np.log(intensity * size) @ numbers)
    return ratios


def _guessed(values: Floats, at: int | None, threshold: float | None, rivals: Rivals) -> tuple[Floats, Floats]:
    """Return the expected place of samples by their similarity, and its variance."""
    expected = rivals.expected(values)
    if at is None or threshold is None:
        return expected, SPREAD * (expected + 0.5)
    there = max(float(rivals.expected(np.array(threshold))), 1e-9)
    share = np.clip(expected / there, 0, 1)
    middle = np.where(values >= threshold, share * at, at + np.maximum(expected - there, 0))
    variance = np.where(values >= threshold, at * share * (1 - share), np.maximum(expected - there, 0))
    return middle, SPREAD * (variance + 0.25)


def _place_of_threshold(order: NDArray[np.int64], trained: NDArray[np.bool_], depth: int) -> int | None:
    """Return the place of the sample of the published similarity: the first one of the X-th held-out patient."""
    first = np.zeros(len(order), dtype=bool)
    first[np.unique(order, return_index=True)[1]] = True
    held = np.flatnonzero(first & ~trained)
    return int(held[depth - 1]) if depth <= len(held) else None


def by_order(given: World) -> Floats:
    """Add up, by side, how likely each number is the patient; those that the receipt does not list are all alike."""
    return _of_sides(given, given.sets[:1])


def of_places(given: World) -> Floats:
    """The same with all receipts, without their groups."""
    return _of_sides(given, given.sets)


def _of_sides(given: World, sets: list[Published]) -> Floats:
    logs = np.log(np.array([given.heldout, given.train], dtype=np.float64)) + np.zeros((len(given.trained), 2))
    for one in sets:
        for side, size in enumerate((given.heldout, given.train)):
            listed = one.ratios[:, one.sides == bool(side)]
            logs[:, side] += np.log((listed.sum(axis=1) + size - listed.shape[1]) / size + TINY)
    return logs[:, 1] - logs[:, 0]


def of_runs(given: World) -> Floats:
    """Link receipts by their groups: of which group and side is somebody who is at these places of all of them?"""
    size = given.train + given.heldout
    groups = -(-size // GROUP)
    cells = np.array([given.heldout, given.train]) / size * GROUP + np.zeros((groups, 2))
    counts = [_counted(one, groups) for one in given.sets]
    cells = np.maximum(cells, np.max(counts, axis=0))  # patients of a group and side: at least those that were listed
    logs = np.log(cells) + np.zeros((size, groups, 2))
    for one, listed in zip(given.sets, counts, strict=True):
        likely = np.zeros((size, groups, 2))
        for number, group in enumerate(one.receipt.order.groups):
            likely[:, group, int(one.sides[number])] += one.ratios[:, number]
        logs += np.log((likely + cells - listed) / cells + TINY)
    posterior = np.exp(logs - logs.max(axis=(1, 2), keepdims=True)).sum(axis=1)
    return np.asarray(posterior[:, 1] / posterior.sum(axis=1))


def _counted(one: Published, groups: int) -> Floats:
    counts = np.zeros((groups, 2))
    np.add.at(counts, (list(one.receipt.order.groups), one.sides.astype(int)), 1)
    return counts


def helped(given: World) -> Floats:
    """Read the sides between the places of known patients, every tenth of the cohort, whose places are told."""
    one = given.sets[0]
    patients, known = list(dict.fromkeys(one.receipt.order.patients)), np.arange(0, len(given.trained), 10)
    sides = one.sides[patients].astype(float)
    falling = one.nearest.patient[np.argsort(-one.nearest.similarity, kind="stable")]
    order = list(dict.fromkeys(falling.tolist()))[: len(patients)]
    placed = [(one.own[who], order.index(who)) for who in known if who in order]
    scores = np.full(len(given.trained), given.train / len(given.trained))
    for patient, similarity in enumerate(one.own):
        above = [place for value, place in placed if value > similarity]
        below = [place for value, place in placed if value < similarity]
        between = sides[max(above, default=-1) + 1 : min(below, default=len(sides))]
        scores[patient] = between.mean() if len(between) and below else scores[patient]
    scores[known] = np.nan
    return scores


def by_samples(given: World) -> Floats:
    """The greatest similarity to any sample: no receipt is needed."""
    return np.asarray(np.max([one.own for one in given.sets], axis=0))


def auc(positive: Floats, negative: Floats) -> tuple[float, float]:
    """Return the AUC, and its upper bound with 95 % (Hanley & McNeil 1982)."""
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    order = rankdata(np.concatenate([positive, negative]))
    value = float((order[:m].sum() - m * (m + 1) / 2) / (m * n))
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (value * (1 - value) + (m - 1) * (q1 - value**2) + (n - 1) * (q2 - value**2)) / (m * n)
    return value, value + 1.645 * variance**0.5


def sides_found(attack: Callable[[World], Floats], worlds: list[World]) -> tuple[float, float]:
    """Return the AUC at which an attack tells training from held-out patients, and its upper bound."""
    scores = np.concatenate([attack(one) for one in worlds])
    trained = np.concatenate([one.trained for one in worlds])
    asked = np.isfinite(scores)
    return auc(scores[asked & trained], scores[asked & ~trained])


def cohort_found(worlds: list[World]) -> tuple[float, float]:
    """Return the AUC at which patients of the cohort are told from others, by all that is published of each world."""
    scores: list[list[Floats]] = [[], []]
    for given in worlds:
        size = len(given.trained)
        for place, name in enumerate(("ratios", "ratios_of_others")):
            ratios = [getattr(one, name) for one in given.sets]
            scores[place].append(sum(np.log((one.sum(axis=1) + size - one.shape[1]) / size + TINY) for one in ratios))
    return auc(np.concatenate(scores[0]), np.concatenate(scores[1]))


def cohort_by_samples(worlds: list[World]) -> tuple[float, float]:
    """Return the same for the samples alone: the greatest similarity to any of them."""
    own, others = (
        np.concatenate([np.max([getattr(one, name) for one in given.sets], axis=0) for given in worlds])
        for name in ("own", "others")
    )
    return auc(own, others)


def threshold_found(worlds: list[World]) -> tuple[float, float]:
    """Return the AUC at which the published threshold alone tells patients of the cohort from others."""
    sets = [one for given in worlds for one in given.sets]
    own = [one.own == one.receipt.threshold for one in sets]
    others = [one.others == one.receipt.threshold for one in sets]
    return auc(np.concatenate(own).astype(float), np.concatenate(others).astype(float))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100, help="simulated cohorts; with several receipts a sixth")
    draws = parser.parse_args().draws
    print("      T/H     N  copies  attack          AUC  at most")
    for train, heldout, samples in ((60, 40, 300), (90, 60, 400), (300, 150, 1000)):
        for dose in (0.0, 0.1):
            for name, (value, most) in attacked(train, heldout, samples, dose, draws):
                print(f"{train:5}/{heldout:<4}{samples:5}{dose:8.2f}  {name:11}{value:8.3f}{most:9.3f}", flush=True)


def attacked(
    train: int, heldout: int, samples: int, dose: float, draws: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield each attack on cohorts of one kind with its AUC."""
    worlds = [world(np.random.default_rng([1, one]), train, heldout, samples, dose) for one in range(draws)]
    for name, attack in (("samples", by_samples), ("order", by_order), ("helped", helped)):
        yield name, sides_found(attack, worlds)
    yield "cohort", cohort_by_samples(worlds)
    yield "outsider", cohort_found(worlds)
    yield "threshold", threshold_found(worlds)
    for sets in (3, 10):
        rngs = [np.random.default_rng([2, one]) for one in range(max(1, draws // 6))]
        several = [world(rng, train, heldout, samples, dose, sets) for rng in rngs]
        for name, attack in (("samples", by_samples), ("places", of_places), ("runs", of_runs)):
            yield f"{name} {sets}", sides_found(attack, several)
        yield f"cohort {sets}", cohort_by_samples(several)
        yield f"outsider {sets}", cohort_found(several)


if __name__ == "__main__":
    main()
