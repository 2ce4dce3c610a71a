"""What other papers measure, for one detector whose rows are short: each number with that of test patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Match, Score, patient_codes
from benchmark.metrics import nearest_neighbours as neighbours
from benchmark.metrics.copy_rate import PatientScores
from benchmark.metrics.nearest_neighbours import Near, distance
from benchmark.metrics.patient_neighbours import c_t_score, dar2025_test, equal_patients, nearest_patients
from benchmark.metrics.published import akbar2025, dar2025
from benchmark.search import Rows
from benchmark.search.similarity import COSINE, unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmark.detectors.bank import Bank
    from benchmark.evaluation.resumable_search import Searching

    Codes = NDArray[np.int64]

CELLS = 10
"""At most so many cells of C_T."""


@dataclass(frozen=True)
class Searched:
    """Nearest items that the evaluation has found already."""

    to_train: Match
    """Synthetic items to train."""
    to_heldout: Match
    """Synthetic items to calibration and test."""
    test: PatientScores
    """Test items to train."""
    to_synthetic: NDArray[np.float64]
    """Every real item to the synthetic ones."""


def correlations(searched: Searched) -> tuple[dict[str, Score], dict[str, tuple[int, ...]]]:
    """Return the scores and histograms of Akbar et al.: synthetic -> train, test -> train, synthetic -> held-out."""
    queries = {
        "": PatientScores.alone(searched.to_train.similarity),
        "_test": searched.test,
        "_heldout": PatientScores.alone(searched.to_heldout.similarity),
    }
    scores: dict[str, Score] = {}
    counts = {}
    for ending, sample in queries.items():
        distribution = akbar2025(sample)
        counts[f"published.akbar2025{ending}"] = distribution.counts
        scores |= {f"published.akbar2025.{name}{ending}": score for name, score in distribution.scores.items()}
    return scores, counts


def secondary_scores(
    bank: Bank, synthetic: Rows, searched: Searched, *, seed: int, searching: Searching
) -> dict[str, Score]:
    """Score neighbours, C_T and the rule of Dar et al. with a detector whose rows fit in memory.

    Args:
        bank: all real items.
        synthetic: rows of the synthetic items.
        searched: what was searched already.
        seed: of the part of train that is as large as the held-out bank, and of cells.
        searching: where items are compared, and in how much memory.
    """
    train, codes = bank.part("train"), patient_codes(bank.real.subjects[: bank.train])
    within = searching.search(train, train, 2).similarity[:, -1]
    queries = {"": _near(bank, synthetic, np.arange(synthetic.count), seed, searching)}
    queries["_null"] = _near(bank, bank.part("test"), searched.test.codes, seed, searching)
    scores = {
        f"neighbours.{name}{ending}": rule(near)
        for name, rule in _rules(within).items()
        for ending, near in queries.items()
    }
    scores |= _copying(bank, synthetic, queries, searched, seed, searching)
    validation = PatientScores(searching.nearest(train, bank.part("calibration")).similarity, codes)
    to_synthetic = PatientScores(searched.to_synthetic[: bank.train], codes)
    scores |= dar2025(validation, to_synthetic, PatientScores.alone(searched.to_train.similarity))
    unseen = PatientScores(searched.to_synthetic[bank.parts["test"]], searched.test.codes)
    return scores | dar2025_test(validation, searched.test, unseen)


def _rules(within: NDArray[np.float64]) -> dict[str, Callable[[Near], Score]]:
    return {
        "dcr_share": neighbours.dcr_share,
        "ratio_share": neighbours.ratio_share,
        "ratio_median": neighbours.ratio_median,
        "calibrated_l2": neighbours.calibrated_l2,
        "auth_share": lambda near: neighbours.auth_share(near, within),
        "m3_share": lambda near: neighbours.m3_share(near, within),
    }


def _near(bank: Bank, queries: Rows, codes: Codes, seed: int, searching: Searching) -> Near:
    """Compare queries with train, and with as many random patients of train and of calibration."""
    train, heldout = bank.part("train"), bank.part("calibration")
    patients = [patient_codes(bank.real.subjects[bank.parts[name]]) for name in ("train", "calibration")]
    equal, held = (
        searching.nearest(queries, Rows.of(rows.take(index), rows.similarity)).similarity
        for rows, index in zip((train, heldout), equal_patients(*patients, seed=seed), strict=True)
    )
    near = searching.search(queries, train, 2)
    by_patient = np.concatenate(
        [
            nearest_patients(block[rows], patients[0])
            for _, block in searching.blocks(queries, train)
            for rows in searching.row_parts(block)
        ]
    )
    return Near(codes, near.similarity, near.index[:, 0], equal, held, by_patient)


def _copying(
    bank: Bank, synthetic: Rows, queries: dict[str, Near], searched: Searched, seed: int, searching: Searching
) -> dict[str, Score]:
    """C_T of synthetic and of test items against calibration items; and swapped, of training and of test items."""
    rows = {name: _unit(part) for name, part in _parts(bank, synthetic).items()}
    count = max(1, min(CELLS, bank.calibration // (4 * neighbours.CELL_ITEMS)))
    place = neighbours.cells(rows["train"], count, seed=seed)
    reference = searching.nearest(bank.part("calibration"), bank.part("train")).similarity
    codes = {name: patient_codes(bank.real.subjects[part]) for name, part in bank.parts.items()}
    far, where = distance(reference), place(rows["calibration"])
    forward = {
        ending: c_t_score(distance(near.train[:, 0]), place(rows[name]), near.codes, far, where, codes["calibration"])
        for (ending, near), name in zip(queries.items(), ("synthetic", "test"), strict=True)
    }
    back = neighbours.cells(rows["synthetic"], min(count, synthetic.count), seed=seed)
    real = {
        name: (distance(searched.to_synthetic[part]), back(rows[name]), codes[name])
        for name, part in bank.parts.items()
    }
    swapped = {
        ending: c_t_score(*real[name], *real["calibration"]) for ending, name in (("", "train"), ("_null", "test"))
    }
    return {f"neighbours.c_t{ending}": score for ending, score in forward.items()} | {
        f"neighbours.c_t_swapped{ending}": score for ending, score in swapped.items()
    }


def _unit(rows: Rows) -> NDArray[np.float32]:
    """Return all rows, of length 1: pixels are kept as they are stored."""
    searched = rows.take(slice(0, rows.count))
    return searched if rows.similarity is COSINE else unit(searched.astype(np.float32))


def _parts(bank: Bank, synthetic: Rows) -> dict[str, Rows]:
    return {name: bank.part(name) for name in bank.parts} | {"synthetic": synthetic}
