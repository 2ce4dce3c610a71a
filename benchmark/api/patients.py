"""Whose images they are: ids of patients per image, or for folders a pattern or a table as on the command line."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.api.saved import SavedSet
from benchmark.cohorts.patient_ids import canonical_id, is_missing
from benchmark.core.errors import BadDataError, UsageError

EACH_FILE = "each-file"
TABLES = (".csv", ".tsv")
SHOWN = 3
"""Ids of a message."""
EACH = (
    "no patients were given: each image counts as that of another patient, which is wrong where a patient has several"
)


def patient_options(given: Any, real: Mapping[str, SavedSet], folder: Path) -> tuple[dict[str, Any], str]:
    """Return the options of the data set that say who is on which image, and a remark; empty where there is none.

    Args:
        given: the user's argument. For folders None, a pattern, `each-file` or a table's path; for images in memory
            None, a mapping from `train` and `heldout` to one id per image, a pair of these, or of training images alone
            one sequence.
        real: the training images and, where there are some, the held-out ones.
        folder: where a table is written.

    Raises UsageError where the argument does not fit, and BadDataError for ids that say nothing.
    """
    listed = [side for side, one in real.items() if one.names is not None]
    if listed and len(listed) < len(real):
        raise UsageError(
            "one of train and heldout is a folder, and the other is not", "give both as folders, or both in memory"
        )
    if not listed:
        return _of_folders(given), ""
    if given is None:
        return {"group_pattern": "none"}, EACH
    if isinstance(given, str | os.PathLike):
        raise UsageError(
            f"patients={str(given)!r} is for folders of files",
            "give one id per image: patients={'train': [...], 'heldout': [...]}",
        )
    ids = {side: _ids(values, side, real[side]) for side, values in _by_side(given, real).items()}
    _require_apart(ids)
    return {"table": str(_table(ids, real, folder / "patients.csv"))}, ""


def _of_folders(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, str | os.PathLike):
        raise UsageError(
            "patients= of folders is a pattern or a table, and something else was given",
            "give a regular expression, folder:1, each-file, or a CSV file with the columns file and patient",
        )
    text = os.fspath(given)
    if Path(text).suffix.lower() in TABLES:
        return {"table": text}
    return {"group_pattern": "none" if text == EACH_FILE else text}


def _by_side(given: Any, real: Mapping[str, SavedSet]) -> dict[str, Any]:
    """Return the ids of each side. Raises UsageError where one has none."""
    if isinstance(given, Mapping):
        values = dict(given)
    elif len(real) == 1:
        values = dict.fromkeys(real, given)
    else:
        values = dict(zip(real, given, strict=False)) if len(given) == len(real) else {}
    if set(values) != set(real) or any(isinstance(ids, str) for ids in values.values()):
        raise UsageError(
            f"patients= does not give the ids of {' and '.join(real)}",
            "give one id per image of each: patients={'train': [...], 'heldout': [...]}",
        )
    return {side: values[side] for side in real}


def _ids(given: Sequence[Any], side: str, saved: SavedSet) -> list[str]:
    ids = [str(one) for one in given]
    count = len(saved.names or ())
    if len(ids) != count:
        raise UsageError(f"patients= has {len(ids)} ids for {side}, which has {count} images", "give one id per image")
    for number, name in enumerate(ids):
        if is_missing(name):
            raise BadDataError(
                f"patients= has {name!r} for {side}[{number}], which names nobody",
                "give every image the id of a patient",
            )
    return ids


def _require_apart(ids: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError where a patient is on both sides: held-out images of a training patient are no control."""
    train, *heldout = [{canonical_id(name): name for name in names} for names in ids.values()]
    shared = sorted(train[key] for key in set(train).intersection(*heldout)) if heldout else []
    if shared:
        who = "patient is" if len(shared) == 1 else "patients are"
        raise UsageError(
            f"{len(shared)} {who} in train and in heldout: {', '.join(shared[:SHOWN])}"
            f"{' ...' if len(shared) > SHOWN else ''}",
            "hold out patients of whom no image was trained on",
        )


def _table(ids: Mapping[str, Sequence[str]], real: Mapping[str, SavedSet], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "patient"))
        for side, names in ids.items():
            writer.writerows(zip(real[side].names or (), names, strict=True))
    return path
