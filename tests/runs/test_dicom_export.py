"""`bench datasets check folder` on what an archive exports: reports, doses, doubles, several acquisitions, tilt."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import Bench
from dicom_files import AXIAL, write_object, write_series, write_slice
from pydicom import uid

pytestmark = pytest.mark.slow  # each call starts Python anew


def hu(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 400, (8, 24, 24))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Twenty patients with eight planes each, and what archives add to them."""
    root = tmp_path / "export"
    for patient in range(20):
        folder = root / f"P{patient:02d}"
        paths = write_series(folder, hu(patient))
        if patient < 12:
            write_object(folder / "SR1.dcm", uid.XRayRadiationDoseSRStorage, "SR")
        if patient == 3:
            write_series(folder, hu(100), names="second{:02d}.dcm", AcquisitionNumber=2)
        if patient == 5:
            dose = np.arange(576, dtype=np.uint16).reshape(24, 24)
            for number in range(6):
                write_object(folder / f"dose{number}.dcm", uid.RTDoseStorage, "RTDOSE", dose)
        if patient == 7:
            shutil.copy(paths[0], folder / "IM0008 (1).dcm")
        if patient == 9:
            _tilt(paths)
    return root


def _tilt(paths: list[Path]) -> None:
    """Rotate the planes by 15 degrees about the left-right axis; the table still moves along z."""
    sine, cosine = np.sin(np.radians(15)), np.cos(np.radians(15))
    for path in paths:
        file = pydicom.dcmread(path)
        file.ImageOrientationPatient = [1, 0, 0, 0, round(cosine, 8), round(-sine, 8)]
        file.save_as(path)


def check(bench: Bench, root: Path, *more: str) -> tuple[int, str, str]:
    options = [word for option in more for word in ("--set-data", option)]
    done = bench(
        "datasets", "check", "folder", "--root", root, "--group-pattern", "P[0-9]+", "--image-size", 24, *options
    )
    return done.returncode, done.stdout, done.stderr


SKIPPED = {
    (
        "folder: skipped, not images of the scan: reports (SR): P00/SR1.dcm, P01/SR1.dcm, P02/SR1.dcm, P03/SR1.dcm, "
        "P04/SR1.dcm and 7 more"
    ),
    (
        "folder: skipped, not images of the scan: dose grids (RTDOSE): P05/dose0.dcm, P05/dose1.dcm, P05/dose2.dcm, "
        "P05/dose3.dcm, P05/dose4.dcm and 1 more"
    ),
    "folder: DICOM series split into volumes: P03 (2 by AcquisitionNumber)",
    "folder: files copied twice, counted once: P07 (1 file)",
}


@pytest.mark.parametrize(
    ("items", "count", "tilt"),
    [
        ("slices", 168, "folder: tilted gantry, slices kept as they were acquired: P09 (tilted by 15.0 degrees)"),
        ("volumes", 21, "folder: tilted gantry, planes shifted into an upright volume: P09 (tilted by 15.0 degrees)"),
    ],
)
def test_an_export_is_read_at_the_first_call(bench: Bench, export: Path, items: str, count: int, tilt: str) -> None:
    code, out, err = check(bench, export, f"items={items}")
    assert code == 0
    said = set(err.splitlines())
    assert f"folder: prepared, {count} items of 20 patients" in said
    assert SKIPPED | {tilt} <= said
    assert re.search(r"skipped, not images of the scan: reports \(SR\) +12: P00/SR1\.dcm", out)
    assert "SECRET-17" not in out + err
    assert "Doe" not in out + err


def test_variable_spacing_is_slices_but_no_volume(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "export"
    for patient in range(8):
        heights = (0, 5, 10, 15, 20, 22.5, 25, 27.5) if patient == 2 else range(0, 40, 5)
        for number, height in enumerate(heights):
            write_slice(
                root / f"P{patient:02d}" / f"{number}.dcm", hu(patient)[number].astype(np.int16),
                ImagePositionPatient=[0.0, 0.0, float(height)], ImageOrientationPatient=list(AXIAL),
                PixelSpacing=[0.7, 0.7],
            )  # fmt: skip
    change = f"spacing changes from 5.0 to 2.5 mm at {root}/P02/4.dcm"
    code, _, err = check(bench, root, "items=slices")
    assert code == 0
    assert f"folder: spacing between planes changes, used as slices only: P02 ({change})" in err.splitlines()
    assert "64 items of 8 patients" in err
    code, _, err = check(bench, root, "items=volumes")
    assert code == 0
    assert f"folder: left out, could not be used: P02 ({change})" in err.splitlines()
    assert "7 items of 7 patients" in err


def test_a_folder_of_reports_alone_is_named(bench: Bench, tmp_path: Path) -> None:
    for patient in range(6):
        write_series(tmp_path / "export" / f"P{patient:02d}", hu(patient))
    for number in range(5):
        write_object(tmp_path / "export" / "P05" / "reports" / f"{number}.dcm", uid.BasicTextSRStorage, "SR")
    code, _, err = check(bench, tmp_path / "export")
    assert code == 0
    assert (
        f"folder: left out, could not be used: P05/reports ({tmp_path}/export/P05/reports holds no planes of a scan: "
        "5 reports (SR))"
    ) in err.splitlines()
