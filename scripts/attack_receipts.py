"""What receipts tell of single patients: attacks on simulated runs, each with its AUC of training patients.

An attacker has the record, the receipt, all synthetic images and the image of one patient, whose similarity to every
sample he can compute, and wants to know on which side the patient was, or whether he is of the cohort at all. `order`
guesses the patient's place in the receipt from images of other patients of the same law, and reads the sides around
it. `helped` also knows a tenth of the cohort, with their sides, and is told their places, which no real attacker is.
`outsider` looks for anybody of the cohort among as many patients who are not, by the published threshold. `runs N`
links N receipts of one cohort by their groups of patients. `samples` and `samples N` take no receipt: they are what
synthetic images give away by themselves, where a share of them are copies.

    python scripts/attack_receipts.py --draws 100
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.receipts import receipt_of
from benchmark.metrics.competition import Nearest, nearest_of_patients
from benchmark.metrics.replicates import GROUP
from benchmark.records.receipt import Receipt

Floats = NDArray[np.float64]
DIMENSION = 12
NEIGHBOURS = 2
"""Places on each side of the guessed one that are read."""
SPREAD, UNLISTED = 3.0, 0.1
"""How far guessed places scatter; how likely a patient above the threshold is not listed, being nobody's nearest."""


@dataclass(frozen=True)
class World:
    """One cohort, several synthetic sets, and what is published of each."""

    train: int
    heldout: int
    own: list[Floats]
    """By set: (T + H,) the greatest similarity of any sample to each patient."""
    others: list[Floats]
    """The same of as many patients who are not of the cohort."""
    nearest: list[Nearest]
    receipts: list[Receipt]

    @property
    def trained(self) -> NDArray[np.bool_]:
        """(T + H,) whether each patient was trained on."""
        return np.arange(self.train + self.heldout) < self.train


def world(rng: np.random.Generator, train: int, heldout: int, samples: int, dose: float = 0.0, sets: int = 1) -> World:
    """Draw a cohort, as many others, and synthetic sets of which a share are near copies of training patients."""
    people, strangers = (_unit(rng.standard_normal((train + heldout, DIMENSION))) for _ in range(2))
    own, others, nearest, receipts = [], [], [], []
    seed = int(rng.integers(2**32))
    for _ in range(sets):
        made = rng.standard_normal((samples, DIMENSION))
        copies = round(dose * samples)
        made[:copies] = people[rng.integers(0, train, copies)] + 0.05 * rng.standard_normal((copies, DIMENSION))
        made = _unit(rng.permutation(made))
        matrix = made @ people.T
        near = nearest_of_patients(matrix[:, :train], matrix[:, train:], seed=seed)
        best = matrix.max(axis=0)
        receipts.append(
            receipt_of(
                near, matrix[:, :train].max(axis=1), best, level=0.999, seen_level=0.999, split=None, pair_seed=seed,
                everyone=near, tied=0.0, different=samples, refusal="", scored=True, uneven=False,
            )
        )  # fmt: skip
        own.append(best)
        others.append((made @ strangers.T).max(axis=0))
        nearest.append(near)
    return World(train, heldout, own, others, nearest, receipts)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def sides_in_order(receipt: Receipt) -> tuple[list[int], Floats]:
    """Return the patients of a receipt in their order, each once, and 1 for those who were trained on."""
    patients = list(dict.fromkeys(receipt.order.patients))
    trained = set(receipt.order.training)
    return patients, np.array([float(patient in trained) for patient in patients])


def by_order(given: World) -> Floats:
    """Guess each patient's place from others of the same law, and read the sides around it."""
    _, sides = sides_in_order(given.receipts[0])
    size = given.train + given.heldout
    met = len(np.unique(given.nearest[0].patient)) / size  # those who are nearest to any sample: the record tells
    reference = np.sort(given.others[0])[::-1]
    place = np.searchsorted(-reference, -given.own[0]) * met
    return np.array([_around(sides, float(one), given.train / size) for one in place])


def _around(sides: Floats, place: float, base: float) -> float:
    low, high = max(0, round(place) - NEIGHBOURS), round(place) + NEIGHBOURS + 1
    return float(sides[low:high].mean()) if low < len(sides) else base


def helped(given: World) -> Floats:
    """Read the sides between the places of known patients, every tenth of the cohort, whose places are told."""
    patients, sides = sides_in_order(given.receipts[0])
    nearest, known = given.nearest[0], np.arange(0, given.train + given.heldout, 10)
    order = list(dict.fromkeys(nearest.patient[np.argsort(-nearest.similarity, kind="stable")].tolist()))[
        : len(patients)
    ]
    placed = [(given.own[0][one], order.index(one)) for one in known if one in order]
    scores = np.full(given.train + given.heldout, given.train / (given.train + given.heldout))
    for patient, similarity in enumerate(given.own[0]):
        above = [place for value, place in placed if value > similarity]
        below = [place for value, place in placed if value < similarity]
        between = sides[max(above, default=-1) + 1 : min(below, default=len(sides))]
        scores[patient] = between.mean() if len(between) and below else scores[patient]
    scores[known] = np.nan
    return scores


def of_runs(count: int) -> Callable[[World], Floats]:
    """Link receipts by their groups: of which group and side is somebody who is above the threshold in just these sets?

    By Bayes, with each patient's guessed place: a patient of a group and a side is an entry of both wherever his image
    is more similar than the published threshold, and the nearer to the guessed place the more likely that one.
    """

    def attack(given: World) -> Floats:
        size = given.train + given.heldout
        groups = -(-size // GROUP)
        logs = np.zeros((size, groups, 2))
        logs += np.log([given.heldout / size, given.train / size])
        for own, others, nearest, receipt in zip(given.own, given.others, given.nearest, given.receipts, strict=True):
            patients, sides = sides_in_order(receipt)
            met = len(np.unique(nearest.patient)) / size
            guessed = np.searchsorted(-np.sort(others)[::-1], -own) * met
            fits = np.exp(-(((np.arange(len(patients)) - guessed[:, None]) / SPREAD) ** 2) / 2)
            likely = np.full((size, groups, 2), UNLISTED)
            for place, patient in enumerate(patients):
                likely[:, receipt.order.groups[patient], int(sides[place])] += fits[:, place]
            above = own > (-2 if receipt.threshold is None else receipt.threshold)
            logs[above] += np.log(likely[above])
        posterior = np.exp(logs - logs.max(axis=(1, 2), keepdims=True)).sum(axis=1)
        return np.asarray(posterior[:, 1] / posterior.sum(axis=1))

    return attack


def by_samples(given: World) -> Floats:
    """The greatest similarity to any sample: no receipt is needed."""
    return np.asarray(np.max(given.own, axis=0))


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
    """Return the AUC at which the published threshold tells patients of the cohort from others."""
    scores: list[list[Floats]] = [[], []]
    for one in worlds:
        threshold = one.receipts[0].threshold
        for place, values in enumerate((one.own[0], one.others[0])):
            scores[place].append((values == threshold).astype(float))
    return auc(np.concatenate(scores[0]), np.concatenate(scores[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100, help="simulated cohorts")
    draws = parser.parse_args().draws
    print("      T/H     N  copies  attack          AUC  at most")
    for train, heldout, samples in ((60, 40, 300), (300, 150, 1000)):
        for dose in (0.0, 0.1):
            worlds = [world(np.random.default_rng([1, one]), train, heldout, samples, dose) for one in range(draws)]
            rows = {
                "samples": sides_found(by_samples, worlds),
                "order": sides_found(by_order, worlds),
                "helped": sides_found(helped, worlds),
                "outsider": cohort_found(worlds),
            }
            for sets in (3, 10):
                several = [
                    world(np.random.default_rng([2, one]), train, heldout, samples, dose, sets)
                    for one in range(max(1, draws // 3))
                ]
                rows[f"samples {sets}"] = sides_found(by_samples, several)
                rows[f"runs {sets}"] = sides_found(of_runs(sets), several)
            for name, (value, most) in rows.items():
                print(f"{train:5}/{heldout:<4}{samples:5}{dose:8.2f}  {name:11}{value:8.3f}{most:9.3f}", flush=True)


if __name__ == "__main__":
    main()
