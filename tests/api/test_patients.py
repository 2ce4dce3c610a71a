"""Ids of patients: one per image, on one side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.api.patients import EACH, patient_options
from benchmark.api.saved import SavedSet
from benchmark.core.errors import BenchError


def in_memory(side: str, count: int) -> SavedSet:
    return SavedSet(Path(side), {f"{side}-{number:06d}.npy": number for number in range(count)}, arrays=True)


REAL = {"train": in_memory("train", 3), "heldout": in_memory("heldout", 2)}
FOLDERS = {"train": SavedSet(Path("t")), "heldout": SavedSet(Path("h"))}


@pytest.mark.parametrize("given", [{"heldout": [3, 4], "train": [1, 1, 2]}, ([1, 1, 2], [3, 4])])
def test_a_table_of_all_images(given: Any, tmp_path: Path) -> None:
    options, remark = patient_options(given, REAL, tmp_path)
    table = pd.read_csv(options["table"], dtype=str)
    assert list(table["patient"]) == ["1", "1", "2", "3", "4"]
    assert list(table["file"]) == [*(REAL["train"].names or ()), *(REAL["heldout"].names or ())]
    assert remark == ""


def test_training_images_alone(tmp_path: Path) -> None:
    options, _ = patient_options(["a", "b, c", "d"], {"train": REAL["train"]}, tmp_path)
    assert list(pd.read_csv(options["table"])["patient"]) == ["a", "b, c", "d"]


def test_none_is_each_image_and_is_said(tmp_path: Path) -> None:
    assert patient_options(None, REAL, tmp_path) == ({"group_pattern": "none"}, EACH)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (None, {}),
        ("P[0-9]+", {"group_pattern": "P[0-9]+"}),
        ("each-file", {"group_pattern": "none"}),
        ("ids.csv", {"table": "ids.csv"}),
        (Path("a") / "ids.TSV", {"table": "a/ids.TSV"}),
    ],
)
def test_folders_as_on_the_command_line(given: Any, options: dict[str, str], tmp_path: Path) -> None:
    assert patient_options(given, FOLDERS, tmp_path) == (options, "")


GIVE = "give one id per image of each: patients={'train': [...], 'heldout': [...]}"


@pytest.mark.parametrize(
    ("given", "real", "told"),
    [
        (
            {"train": [1, 2, 3], "heldout": [4]},
            REAL,
            ("patients= has 1 ids for heldout, which has 2 images\n  hint: give one id per image"),
        ),
        (
            {"train": [1, "nan", 3], "heldout": [4, 5]},
            REAL,
            ("patients= has 'nan' for train[1], which names nobody\n  hint: give every image the id of a patient"),
        ),
        (
            {"train": ["P1", "P2", "P3"], "heldout": ["p02", "P9"]},
            REAL,
            ("1 patient is in train and in heldout: P2\n  hint: hold out patients of whom no image was trained on"),
        ),
        ({"train": [1, 2, 3]}, REAL, f"patients= does not give the ids of train and heldout\n  hint: {GIVE}"),
        ([1, 2, 3], REAL, f"patients= does not give the ids of train and heldout\n  hint: {GIVE}"),
        (("abc", "de"), REAL, f"patients= does not give the ids of train and heldout\n  hint: {GIVE}"),
        (
            "P[0-9]+",
            REAL,
            (
                "patients='P[0-9]+' is for folders of files\n"
                "  hint: give one id per image: patients={'train': [...], 'heldout': [...]}"
            ),
        ),
        (
            [1, 2],
            FOLDERS,
            (
                "patients= of folders is a pattern or a table, and something else was given\n"
                "  hint: give a regular expression, folder:1, each-file, or a CSV file with the columns file and "
                "patient"
            ),
        ),
        (
            None,
            {"train": REAL["train"], "heldout": FOLDERS["heldout"]},
            (
                "one of train and heldout is a folder, and the other is not\n"
                "  hint: give both as folders, or both in memory"
            ),
        ),
    ],
)
def test_what_is_refused(given: Any, real: dict[str, SavedSet], told: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as refused:
        patient_options(given, real, tmp_path)
    assert str(refused.value) == told
