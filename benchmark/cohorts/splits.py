"""Splits by patient: seeded, nested, with exact duplicates on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from benchmark.cohorts.duplicates import find_duplicates, units
from benchmark.core.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Unit = tuple[str, ...]

SplitKind = Literal["patients", "official", "images"]

FRACTIONS = (0.5, 0.3, 0.2)
NAMES = ("train", "calibration", "test")


@dataclass(frozen=True)
class Plan:
    """Which rows of the table belong to each split, ascending."""

    train: Rows
    calibration: Rows
    test: Rows


def plan_split(
    table: pd.DataFrame,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    train_patients: int | None = None,
    split: SplitKind = "patients",
    trained_on: frozenset[str] = frozenset(),
    join_duplicates: bool = True,
) -> Plan:
    """Split the rows of a table (columns subject, group, sha) by subject.

    Args:
        table: one row per item.
        seed: orders the subjects; the order of files has no influence.
        fractions: shares of subjects in train, calibration and test; they sum to 1.
        train_items: keep only this many training items, those of the first subjects; the held-out splits stay, and a
            smaller number gives a subset. Refused with `trained_on`.
        train_patients: the same as a number of patients, with all of their items; refused with `train_items`.
        split: `official` trains on the published group `train` and holds out all others.
        trained_on: subjects that a model was trained on: they are train, and all others are held out.
        join_duplicates: keep subjects that share an exact duplicate on one side.

    Raises:
        BadDataError: fewer than three subjects that can be separated.
        UsageError: fractions, train_items, train_patients or a split that do not fit, or that `trained_on` does not
            allow.
    """
    _require_fractions(fractions)
    require_one_size(train_items, train_patients)
    joined = (
        units(table, find_duplicates(table)) if join_duplicates else [(name,) for name in table["subject"].unique()]
    )
    ordered = sorted(joined, key=lambda unit: min(_draw(seed, name) for name in unit))
    if trained_on:
        _require_whole_list(split, train_items, train_patients)
        parts = _by_list(ordered, trained_on, fractions)
    else:
        parts = _by_group(table, ordered, fractions) if split == "official" else _by_share(ordered, fractions)
    rows = [_rows(table, part) for part in parts]
    train = _first(_of_first_patients(rows[0], table, train_patients), train_items)
    return Plan(np.sort(train), np.sort(rows[1]), np.sort(rows[2]))


def require_disjoint(parts: dict[str, Sequence[str]]) -> None:
    """Raise BadDataError where a subject is in two splits; parts maps a split's name to its subjects."""
    seen: dict[str, str] = {}
    for part, subjects in parts.items():
        for subject in dict.fromkeys(subjects):
            if subject in seen:
                raise BadDataError(
                    f"patient {subject} is in two splits, {seen[subject]} and {part}",
                    "give each patient one name in the data set, and let memobench split by it",
                )
            seen[subject] = part


def _draw(seed: int, subject: str) -> bytes:
    return hashlib.sha256(f"{seed}:{subject}".encode()).digest()


def _by_share(ordered: list[Unit], fractions: Sequence[float]) -> list[list[Unit]]:
    if len(ordered) < len(NAMES):
        raise BadDataError(
            f"train, calibration and test need 3 patients that can be separated, here: {len(ordered)}",
            "add patients: at least 3, of whom no two share a duplicate image",
        )
    counts = np.cumsum([len(unit) for unit in ordered])
    after_train, after_calibration = _cuts(counts, fractions)
    return [ordered[:after_train], ordered[after_train:after_calibration], ordered[after_calibration:]]


def _cuts(counts: Rows, fractions: Sequence[float]) -> tuple[int, int]:
    """Return how many units end train and calibration; each split gets one unit at least."""
    wanted = np.round(np.cumsum(fractions[:2]) * counts[-1])
    train, calibration = (int(cut) + 1 for cut in np.searchsorted(counts, wanted))
    train = min(train, len(counts) - 2)
    return train, min(max(calibration, train + 1), len(counts) - 1)


def _by_group(table: pd.DataFrame, ordered: list[Unit], fractions: Sequence[float]) -> list[list[Unit]]:
    trained = set(table.loc[table["group"] == "train", "subject"])
    train = [unit for unit in ordered if trained & set(unit)]
    held = [unit for unit in ordered if not trained & set(unit)]
    if not train or len(held) < 2:
        raise UsageError(
            f"this data set has no published split that could be kept: {len(train)} patients in train, "
            f"{len(held)} outside",
            "leave --split official out: patients are then split from the seed",
        )
    return [train, *_held_out(held, fractions)]


def _require_whole_list(split: SplitKind, train_items: int | None, train_patients: int | None) -> None:
    """Refuse what would leave listed patients out of train: a model's copies of them could then not be seen."""
    if train_items is not None:
        raise UsageError(
            f"of the listed training patients only {train_items} images would be compared, and copies of the others "
            "would not be seen",
            "leave out --train-items, which is for models trained by this run",
        )
    if train_patients is not None:
        raise UsageError(
            f"only {train_patients} of the listed training patients would be compared, and copies of the others would "
            "not be seen",
            "leave out --train-patients, which is for models trained by this run",
        )
    if split == "images":
        raise UsageError(
            "a list of training patients cannot be combined with --split images, which has no patients",
            "leave out --split images",
        )


def _by_list(ordered: list[Unit], trained: frozenset[str], fractions: Sequence[float]) -> list[list[Unit]]:
    """Train is every unit with a listed subject: whoever shares an image with one of them has been seen too."""
    train = [unit for unit in ordered if trained & set(unit)]
    held = [unit for unit in ordered if not trained & set(unit)]
    if len(held) < 2:
        raise UsageError(
            f"the list of training patients leaves {len(held)} patients to hold out",
            "nothing tells copies from chance without them: add patients that the model has not seen",
        )
    return [train, *_held_out(held, fractions)]


def _held_out(held: list[Unit], fractions: Sequence[float]) -> tuple[list[Unit], list[Unit]]:
    """Divide units, at least two, into calibration and test."""
    share = fractions[1] / (fractions[1] + fractions[2])
    cut = min(max(1, round(share * len(held))), len(held) - 1)
    return held[:cut], held[cut:]


def _rows(table: pd.DataFrame, part: list[Unit]) -> Rows:
    """Return the rows of these subjects, subjects in their order, items in the table's."""
    rank = {subject: place for place, subject in enumerate(name for unit in part for name in unit)}
    ranks = table["subject"].map(rank).to_numpy(dtype=float)
    rows = np.flatnonzero(~np.isnan(ranks))
    return rows[np.argsort(ranks[rows], kind="stable")].astype(np.int64)


def _first(rows: Rows, train_items: int | None) -> Rows:
    if train_items is None:
        return rows
    if not 1 <= train_items <= len(rows):
        raise UsageError(
            f"{train_items} training items were asked for, the training split has {len(rows)}",
            f"choose a number from 1 to {len(rows)}, or a larger training share",
        )
    return rows[:train_items]


def _of_first_patients(rows: Rows, table: pd.DataFrame, train_patients: int | None) -> Rows:
    if train_patients is None:
        return rows
    patients = pd.factorize(table["subject"].to_numpy()[rows])[0]  # numbered in the order of the split
    most = int(patients.max()) + 1
    if not 1 <= train_patients <= most:
        raise UsageError(
            f"{train_patients} training patients were asked for, the training split has {most}",
            f"choose a number from 1 to {most}, or a larger training share",
        )
    return rows[patients < train_patients]


def require_one_size(train_items: int | None, train_patients: int | None) -> None:
    """Raise UsageError where the training size is given in two ways."""
    if train_items is not None and train_patients is not None:
        raise UsageError(
            f"the training size is given twice, as {train_items} items and as {train_patients} patients",
            "give --train-items or --train-patients",
        )


def _require_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != len(NAMES) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(
            f"fractions {','.join(f'{share:g}' for share in fractions)} are not three positive shares that sum to 1",
            "give the shares of train, calibration and test, such as 0.5,0.3,0.2",
        )
