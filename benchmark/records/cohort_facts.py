"""The facts of a cohort that may be public: sizes, grid and digest, but no name of a patient or item."""

from __future__ import annotations

from benchmark.core.public_values import PUBLIC_VALUES
from benchmark.core.types import Cohort
from benchmark.records.public_notes import public_note
from benchmark.records.record import CohortFacts


def facts_of(cohort: Cohort, name: str) -> CohortFacts:
    """Return the facts of a cohort that records and audits hold; `name` is its public one."""
    splits = (cohort.train, cohort.calibration, cohort.test)
    notes = tuple(map(public_note, cohort.notes))
    return CohortFacts(
        name=name, key=cohort.key, shape=cohort.train.shape, channels=public_channels(cohort.train.channels),
        spacing_mm=cohort.spacing_mm, items={split.name: len(split) for split in splits},
        patients={split.name: len(set(split.subjects)) for split in splits}, notes=notes,
    )  # fmt: skip


def public_channels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of channels; those that no data set of the package has are numbered, from 1."""
    known = PUBLIC_VALUES["channels"]
    return tuple(name if name in known else f"channel-{place}" for place, name in enumerate(names, start=1))
