from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.datasets.msd.dataset import Msd


def make(root: Path, volume: np.ndarray, name: str = "a", folder: str = "imagesTr") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), root / folder / f"{name}.nii.gz")
    return root


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("folder", ["imagesTr", "images", "."])
def test_layouts(tmp_path: Path, folder: str) -> None:
    for name in ("b", "a"):
        make(tmp_path, ramp(8, 8, 8), name, folder)
    assert [source.subject for source in Msd().sources(tmp_path)] == ["a", "b"]


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        Msd().sources(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no volumes: no file imagesTr/*.nii.gz"
        "\n  hint: give the folder of one task, such as Task04_Hippocampus"
    )


def test_centre_is_kept_at_its_own_resolution(tmp_path: Path) -> None:
    volume = ramp(35, 51, 35)
    items = Msd().read(Msd().sources(make(tmp_path, volume))[0])
    low, high = np.percentile(volume, (0.5, 99.5))
    expected = np.floor(np.clip((volume[1:33, 9:41, 1:33] - low) / (high - low) * 255, 0, 255) + 0.5)
    assert items.pixels.shape == (1, 1, 32, 32, 32)
    assert np.abs(items.pixels[0, 0] - expected).max() <= 1
    assert items.spacing_mm == (1.0, 1.0, 1.0)


def test_small_volumes_are_padded_and_large_ones_averaged(tmp_path: Path) -> None:
    small = Msd().read(Msd().sources(make(tmp_path / "small", ramp(20, 32, 32)))[0]).pixels[0, 0]
    assert small[:6].max() == small[-6:].max() == 0
    assert small[6:-6].max() == 255
    large = Msd().read(Msd().sources(make(tmp_path / "large", ramp(96, 96, 70)))[0])
    assert large.spacing_mm == (3.0, 3.0, 3.0)
    assert large.pixels.shape == (1, 1, 32, 32, 32)


def test_constant_but_for_a_few_voxels(tmp_path: Path) -> None:
    volume = np.zeros((16, 16, 16), np.float32)
    volume[0, 0, 0] = 1
    root = make(tmp_path, volume)
    with pytest.raises(BadDataError) as caught:
        Msd().read(Msd().sources(root)[0])
    assert str(caught.value) == (
        f"{root}/imagesTr/a.nii.gz has one value, 0, at both ends of the window 'percentiles'"
        "\n  hint: choose another window, crop it closer to the organ, or leave it out"
    )


def test_size_that_does_not_fit() -> None:
    with pytest.raises(UsageError) as caught:
        Msd(image_size=1000)
    assert str(caught.value) == "image_size 1000 does not fit a volume\n  hint: choose a size from 8 to 256"


def test_real_hippocampi(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data("mr_hippocampus_msd04") / "mr_hippocampus_msd04.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("images/")])
    sources = Msd().sources(tmp_path)
    assert len(sources) == 207
    for source in sources[::10]:
        items = Msd().read(source)
        assert items.pixels.shape == (1, 1, 32, 32, 32)
        assert items.spacing_mm == (1.0, 1.0, 1.0)
        assert items.pixels.std() > 20
