"""Lists that our own code writes and reads, of images whose names a spreadsheet would take for formulas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.cohorts.exclusions import read_exclusions, write_exclusions
from benchmark.cohorts.training_list import read_training_list, write_split
from benchmark.core.csv_cells import neutral
from benchmark.core.types import Cohort

NAMES = ["=1+1", "+a", "-b", "@c", "'=d", "'=1+1"]
TABLE = pd.DataFrame({"item": NAMES, "subject": [f"{name}-p{number}" for number, name in enumerate(NAMES)]})


def test_a_list_to_exclude_names_the_same_images_when_it_is_read(tmp_path: Path) -> None:
    write_exclusions(tmp_path / "exclude.csv", dict.fromkeys(NAMES, "=reason"))
    lines = (tmp_path / "exclude.csv").read_text().splitlines()
    assert sorted(lines[1:]) == sorted(f"{neutral(name)},'=reason" for name in NAMES)
    assert all(line.startswith("'") for line in lines[1:])
    assert read_exclusions(tmp_path / "exclude.csv", TABLE) == frozenset(NAMES)


def test_a_name_with_an_apostrophe_is_that_image_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("item\n'=d\n")
    assert read_exclusions(tmp_path / "mine.csv", TABLE) == {"'=d"}


@pytest.mark.parametrize("column", ["item", "patient"])
def test_the_training_list_of_a_split_is_read_as_it_was_written(
    tmp_path: Path, named_cohort: Cohort, column: str
) -> None:
    train, _ = write_split(tmp_path, named_cohort)
    pd.read_csv(train)[[column]].to_csv(train, index=False)
    assert not any(line.startswith(("=", "+", "-", "@")) for line in train.read_text().splitlines())
    assert read_training_list(train, TABLE) == set(named_cohort.train.subjects)


@pytest.fixture
def named_cohort() -> Cohort:
    """Four training and two held-out images of these names."""
    import numpy as np

    from benchmark.core.types import Split

    whole = Split(
        name="train", pixels=np.zeros((6, 1, 8, 8), np.uint8), rows=np.arange(6), subjects=tuple(TABLE["subject"]),
        items=tuple(NAMES), channels=("image",),
    )  # fmt: skip
    parts = {"train": whole.part([0, 1, 2, 3]), "calibration": whole.part([4]), "test": whole.part([5])}
    return Cohort(name="named", key="k", files_key="f", spacing_mm=(), **parts)
