"""From files to a cohort: read once, patient by patient, cached; then split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.cohorts.assemble import assemble
from benchmark.cohorts.exclusions import read_exclusions
from benchmark.cohorts.ingest import prepare_items
from benchmark.cohorts.splits import FRACTIONS, SplitKind
from benchmark.cohorts.store import Stored
from benchmark.cohorts.training_list import read_training_list
from benchmark.core.progress import Log, to_stderr
from benchmark.core.types import Cohort, Dataset


def prepare(
    name: str,
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    split_seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    train_patients: int | None = None,
    split: SplitKind = "patients",
    trained_on: Path | None = None,
    exclude: Path | None = None,
    strict: bool = False,
    workers: int | None = None,
    log: Log = to_stderr,
) -> Cohort:
    """Read a data set into a cohort of patient-disjoint splits, or open it from the cache.

    Args:
        name: the data set's name.
        dataset: what lists and reads its sources.
        root: where its files lie.
        cache: where prepared items are kept, under cohorts/NAME-KEY.
        split_seed: orders the patients.
        fractions: shares of patients in train, calibration and test.
        train_items: use only so many training items, of the first patients.
        train_patients: use only the first so many training patients.
        split: `patients`, `official` for the published split, or `images`, as if each were a patient.
        trained_on: a CSV file whose column `patient` or `item` lists what a model was trained on: these patients are
            the training split, all others are held out.
        exclude: a CSV file whose column `item` names items to leave out, as `bench datasets check --fix` writes it.
        strict: refuse where anything would be left out.
        workers: readers; all cores by default.
        log: called with each line of progress.

    Raises:
        MissingDataError, BadDataError: files that are absent or cannot be used.
        UsageError: options that do not fit.
        MachineError: a full or read-only disk.
    """
    stored = prepare_items(name, dataset, root, cache, strict=strict, workers=workers, log=log)
    return split_stored(
        name, dataset, root, stored, split_seed=split_seed, fractions=fractions, train_items=train_items,
        train_patients=train_patients, split=split,
        trained_on=trained_on, exclude=exclude,
    )  # fmt: skip


def split_stored(
    name: str,
    dataset: Dataset,
    root: Path,
    stored: Stored,
    *,
    split_seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    train_patients: int | None = None,
    split: SplitKind = "patients",
    trained_on: Path | None = None,
    exclude: Path | None = None,
) -> Cohort:
    """Split prepared items into a cohort. Arguments and errors as for `prepare`."""
    return assemble(
        name, dataset, stored, split_seed=split_seed, fractions=fractions, train_items=train_items,
        train_patients=train_patients, split=split,
        trained_on=read_training_list(trained_on, stored.table, root),
        exclude=read_exclusions(exclude, stored.table, root),
    )  # fmt: skip
