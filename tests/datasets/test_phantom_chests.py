"""phantom-ct and phantom-cxr: the same simulated patients in volumes and in radiographs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import MissingDataError, UsageError
from benchmark.datasets.phantom_ct.chest import SHAPE, STEP, simulate
from benchmark.datasets.phantom_ct.dataset import PhantomCT
from benchmark.datasets.phantom_cxr.dataset import VIEWS, PhantomCXR
from benchmark.datasets.phantom_cxr.project import radiograph
from benchmark.images.readers import read_image


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    return simulate(1)


def test_chest_holds_what_a_chest_holds(chest: np.ndarray) -> None:
    assert (chest.shape, chest.dtype) == (SHAPE, np.int16)
    shares = {
        "lung": ((chest > -960) & (chest < -600)).mean(),
        "soft tissue": ((chest > 0) & (chest < 120)).mean(),
        "fat": ((chest > -160) & (chest < -50)).mean(),
        "bone": (chest > 300).mean(),
    }
    litres = {name: share * chest.size * STEP**3 / 1e6 for name, share in shares.items()}
    assert 1.5 < litres["lung"] < 7, "adults hold 3 to 7 litres"
    assert litres["soft tissue"] > 4
    assert litres["fat"] > 0.5
    assert 0.1 < litres["bone"] < 2


def test_a_patient_is_the_same_every_time_and_nobody_else(chest: np.ndarray) -> None:
    assert np.array_equal(simulate(1), chest)
    other = simulate(2)
    assert not np.array_equal(other, chest)
    lung = (chest < -600) | (other < -600)
    assert np.corrcoef(chest[lung], other[lung])[0, 1] < 0.9


def test_spine_is_behind_and_heart_to_the_left(chest: np.ndarray) -> None:
    left, back, _ = np.argwhere(chest > 350).mean(axis=0)
    assert back > SHAPE[1] / 2, "most bone is behind: the spine"
    assert abs(left - SHAPE[0] / 2) < 12
    lung = chest[:, :, 60:80] < -600
    right, left_side = lung[: SHAPE[0] // 2].sum(), lung[SHAPE[0] // 2 :].sum()
    assert left_side < right, "the heart takes its room from the left lung"


def test_files_come_back_as_they_were_written(tmp_path: Path, chest: np.ndarray) -> None:
    dataset = PhantomCT(patients=1, image_size=32)
    dataset.create(tmp_path)
    image = read_image(tmp_path / "chest_001.nii.gz")
    assert np.array_equal(image.pixels, chest[::-1, ::-1])
    assert image.orientation == "LPS"
    (source,) = dataset.sources(tmp_path)
    items = dataset.read(source)
    assert items.pixels.shape == (1, 1, 32, 32, 32)
    assert items.pixels.max() == 255
    sliced = dataclasses.replace(dataset, items="slices", window="mediastinum")
    assert sliced.dimensions == 2
    assert sliced.read(source).pixels.shape == (160, 1, 32, 32)


def test_radiograph_shows_dark_lungs_and_a_bright_middle(chest: np.ndarray) -> None:
    film = radiograph(chest, STEP, 0, np.random.default_rng(0)).astype(float)
    assert film.shape == (256, 256)
    upper = film[60:120]
    assert upper[:, 60:90].mean() < upper[:, 120:136].mean() - 30
    assert upper[:, 166:196].mean() < upper[:, 120:136].mean() - 30
    assert film[230:].mean() > film[60:120, 60:90].mean(), "below the diaphragm it is bright"


def test_views_of_a_patient_are_alike_but_not_equal(tmp_path: Path) -> None:
    dataset = PhantomCXR(patients=2, image_size=64)
    dataset.create(tmp_path)
    found = dataset.sources(tmp_path)
    assert len(found) == 2 * len(VIEWS)
    assert [source.subject for source in found[:: len(VIEWS)]] == ["chest_001", "chest_002"]
    films = np.stack([dataset.read(source).pixels.ravel() for source in found]).astype(float)
    alike = np.corrcoef(films)
    assert alike[0, 1] > 0.9
    assert alike[0, 1] < 0.9999
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    dataset.create(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}


@pytest.mark.parametrize("cls", [PhantomCT, PhantomCXR])
def test_missing_patient(tmp_path: Path, cls: type) -> None:
    with pytest.raises(MissingDataError) as caught:
        cls(patients=3).sources(tmp_path)
    name = "chest_001.nii.gz" if cls is PhantomCT else "chest_001"
    assert str(caught.value) == (
        f"{tmp_path} lacks 3 of 3 simulated patients, the first is {name}"
        "\n  hint: run the command again: it simulates those that are missing"
    )


@pytest.mark.parametrize("patients", [0, 1000])
def test_patients_that_cannot_be_numbered(patients: int) -> None:
    with pytest.raises(UsageError) as caught:
        PhantomCXR(patients=patients)
    assert str(caught.value) == f"patients {patients} does not fit\n  hint: choose a number from 1 to 999"
