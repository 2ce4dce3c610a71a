"""Synthetic DICOM planes beside a series of which nothing was made: they may be copies, and nobody has looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series, write_slice

from benchmark.cohorts.given_split import WithoutPatients, skipped_planes
from benchmark.cohorts.ingest import prepare_items
from benchmark.datasets.folder.dataset import Folder

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    planes = np.random.default_rng(0).integers(0, 900, (5, 16, 16)).astype(np.int16)
    for name in ("a", "b"):
        write_series(tmp_path / "synthetic" / name, planes)
    return tmp_path / "synthetic"


def skipped(synthetic: Path) -> list[str]:
    dataset = WithoutPatients(dataset=Folder(image_size=16, group_pattern="none"))
    made = prepare_items("synthetic", dataset, synthetic, synthetic.parent / "cache", workers=1, log=str)
    return [path.relative_to(synthetic).as_posix() for path in skipped_planes(made, synthetic)]


def test_series_without_anything_else_skip_nothing(synthetic: Path) -> None:
    assert skipped(synthetic) == []


def test_a_capture_in_the_folder_of_a_series_is_named(synthetic: Path) -> None:
    write_slice(synthetic / "a" / "extra.dcm", np.full((16, 16), 7, np.uint16), SOPClassUID=CAPTURE)
    assert skipped(synthetic) == ["a/extra.dcm"]


def test_the_folder_of_a_series_that_is_too_short_for_a_volume_is_named(synthetic: Path) -> None:
    write_series(synthetic / "b", np.zeros((2, 16, 16), np.int16), names="x{}.dcm", SeriesInstanceUID="9.9")
    assert skipped(synthetic) == ["b"]
