"""Text-to-image models: which patients the samples were asked for, and the competition among these alone.

A caption tells something of its patient, so that a sample is near to the patient whose caption it was asked with, also
where nothing was copied. So as many training patients as held-out ones are asked for, equally often, and only they
compete: given who was asked for, each of them is a training patient with the same chance. Patients who were not asked
for are left out: their sides say nothing of how near the samples are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import patient_codes
from benchmark.metrics.competition import Nearest, nearest_of_patients, priorities
from benchmark.search import settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Cohort
    from benchmark.detectors.bank import Bank
    from benchmark.search import Rows

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Asked:
    """The units of the split (patients) whose captions were prompts."""

    patient: Codes
    """(N,) of each sample: 0 .. T - 1 are training patients, T .. T + H - 1 held-out ones, T and H of the cohort."""
    train: int
    """T."""
    patients: Codes
    """(P,) the different ones, ascending."""
    images: Flags
    """(M,) which real images are of them."""

    @property
    def sides(self) -> tuple[Codes, Codes]:
        """The training patients among them, and the held-out ones, each numbered from 0 on its side."""
        held = self.patients >= self.train
        return self.patients[~held], self.patients[held] - self.train


def asked_patients(bank: Bank, rows: Codes) -> Asked:
    """Return whom N samples were asked for; rows (N,) are positions in the bank of the items with their captions."""
    dealt = bank.real.dealt
    train = patient_codes(dealt[: bank.train])
    size = int(train.max()) + 1
    unit = np.concatenate([train, size + patient_codes(dealt[bank.train :])])
    patients = np.unique(unit[rows])
    return Asked(unit[rows], size, patients, np.isin(unit, patients))


def prompted_patients(cohort: Cohort, rows: Codes) -> tuple[int, int]:
    """Count the training and the held-out patients whose captions were prompts; rows (N,) as `asked_patients`."""
    dealt, size = np.array(cohort.real.dealt), len(cohort.train)
    return len(set(dealt[rows[rows < size]])), len(set(dealt[rows[rows >= size]]))


def compete(
    block: NDArray[np.float32],
    by_train: Floats,
    by_heldout: Floats,
    asked: Asked,
    queries: Rows,
    part: slice,
    bank: Bank,
    *,
    seed: int,
) -> dict[str, NDArray[np.generic]]:
    """Decide a block of samples among the patients that were asked for.

    Args:
        block: (n, M) similarities to all real images.
        by_train: (n, T) greatest similarity to each training patient.
        by_heldout: (n, H) the same of held-out patients.
        asked: who competes.
        queries: rows of all samples.
        part: those of the block.
        bank: all real images.
        seed: of the order of patients that decides between equal similarities.

    Returns `asked_unit` (n,), numbered as `Nearest.patient` among those that were asked for, and `asked_similarity`
    (n,), exact, of the side that the sample goes to: blocks are compared in float32.
    """
    train, heldout = asked.sides
    unit = nearest_of_patients(by_train[:, train], by_heldout[:, heldout], seed=seed).patient
    only = np.where(asked.images, block, np.float32(-np.inf))
    near = settle(only[:, : bank.train], queries, part, bank.rows).similarity
    other = settle(only[:, bank.train :], queries, part, bank.rows, offset=bank.train).similarity
    return {"asked_unit": unit, "asked_similarity": np.where(unit < len(train), near, other)}


def competition_of(unit: Codes, similarity: Floats, asked: Asked, *, seed: int) -> Nearest:
    """Put the blocks of `compete` together: (N,) each."""
    train, heldout = (len(side) for side in asked.sides)
    return Nearest(similarity, unit, train, heldout, priorities(train, heldout, seed))
