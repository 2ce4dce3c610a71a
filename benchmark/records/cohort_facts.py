"""The facts of a cohort that may be public: sizes, grid and digest, but no name of a patient or item."""

from __future__ import annotations

from benchmark.core.types import Cohort
from benchmark.records.public_text import public_name, public_text
from benchmark.records.record import CohortFacts


def facts_of(cohort: Cohort) -> CohortFacts:
    """Return the facts of a cohort that records and audits hold."""
    splits = (cohort.train, cohort.calibration, cohort.test)
    return CohortFacts(
        name=cohort.name, key=cohort.key, shape=cohort.train.shape,
        channels=tuple(map(public_name, cohort.train.channels)),
        spacing_mm=cohort.spacing_mm, items={split.name: len(split) for split in splits},
        patients={split.name: len(set(split.subjects)) for split in splits},
        notes=tuple(map(public_text, cohort.notes)),
    )  # fmt: skip
