"""A hospital's export of many series: each becomes one volume of one patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series

from benchmark.cohorts.prepare import prepare
from benchmark.datasets.folder.dataset import Folder


@pytest.mark.slow
def test_three_hundred_series_of_ten_planes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(300):
        folder = tmp_path / "export" / f"P{number:03d}"
        write_series(
            folder, rng.integers(-1000, 1000, (10, 32, 32)), PatientID=f"ID{number:03d}",
            SeriesInstanceUID=f"1.2.3.{number + 1}",
        )  # fmt: skip
    cohort = prepare(
        "folder", Folder(items="volumes", image_size=16), tmp_path / "export", tmp_path / "cache", log=lambda _: None
    )
    assert len(cohort.real) == len(set(cohort.real.subjects)) == 300
    assert cohort.real.shape[0] == 1
    assert len(cohort.real.shape) == 4
    assert not [note for note in cohort.notes if note.startswith("left out")]
