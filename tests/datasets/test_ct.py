"""covid-ct-md, lidc-idri and luna16, in the files that their publishers hand out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from dicom_files import write_series

from benchmark.cohorts.ingest import prepare_items
from benchmark.core.errors import BadDataError, BenchError, MissingDataError, UsageError
from benchmark.datasets.covid_ct_md.dataset import CovidCtMd
from benchmark.datasets.lidc_idri.dataset import LidcIdri
from benchmark.datasets.luna16.dataset import Luna16

PLACES = {"P001": "Covid-19 Cases", "cap001": "Cap Cases", "normal001": "Normal Cases"}


def refusal(read: Callable[[], object], kind: type[BenchError] = MissingDataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def chest(seed: int = 0, slices: int = 6, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 400, (slices, side, side))


@pytest.mark.slow
def test_real_chest_ct_in_its_published_folders(real_data: Any, tmp_path: Path) -> None:
    """As the archive hands it out: JPEG lossless, names against the order of the slices."""
    for name, place in PLACES.items():
        hu = np.load(real_data("ct_covidctmd_128") / f"{name}.npz")["hu"][::10]
        write_series(tmp_path / "set" / place / name, hu, spacing=(20.0, 2.8, 2.8), syntax="jpeg")
    dataset = CovidCtMd(image_size=128)
    found = dataset.sources(tmp_path / "set")
    assert {(source.subject, source.label) for source in found} == {
        ("P001", "COVID-19"), ("cap001", "pneumonia"), ("normal001", "normal"),
    }  # fmt: skip
    for source in found:
        hu = np.load(real_data("ct_covidctmd_128") / f"{source.name}.npz")["hu"][::10]
        items = dataset.read(source)
        expected = np.clip((hu.astype(float) + 1350) / 1500 * 255, 0, 255)
        assert np.abs(items.pixels[:, 0] - expected).max() <= 1
        assert items.spacing_mm == (2.8, 2.8)
        assert items.orientation == "LPS"


def test_covid_volumes_and_windows(tmp_path: Path) -> None:
    write_series(tmp_path / "Cap Cases" / "cap001", chest(), spacing=(2, 2, 2))
    dataset = CovidCtMd(items="volumes", image_size=16, window="mediastinum")
    assert dataset.dimensions == 3
    assert dataset.read(dataset.sources(tmp_path)[0]).pixels.shape == (1, 1, 16, 16, 16)


def test_covid_no_files(tmp_path: Path) -> None:
    assert refusal(lambda: CovidCtMd().sources(tmp_path)) == (
        f"{tmp_path} holds no DICOM files: no folder such as Cap Cases/cap001 with IM0001.dcm"
        "\n  hint: give the folder that holds Covid-19 Cases, Cap Cases and Normal Cases"
    )


def test_a_broken_patient_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    for number in range(4):
        files = write_series(tmp_path / "set" / "Cap Cases" / f"cap00{number}", chest(number))
    files[2].unlink()
    said: list[str] = []
    stored = prepare_items(
        "covid-ct-md", CovidCtMd(image_size=24), tmp_path / "set", tmp_path / "cache", log=said.append
    )
    assert len(stored.table) == 18
    assert said[1].startswith("covid-ct-md: left out, could not be used: cap003 (planes are missing between ")
    assert len(stored.files) == 18, "each DICOM file with its digest"


def lidc(root: Path) -> Path:
    for patient, scans in ((1, 1), (2, 2)):
        top = root / f"LIDC-IDRI-000{patient}"
        for scan in range(scans):
            folder = top / "01-01-2000-NA-NA-30178" / f"300056{scan}.000000-NA-0319{scan}"
            write_series(folder, chest(10 * patient + scan), names="1-{:03d}.dcm")
            (folder / "069.xml").write_text("<LidcReadMessage/>")
        write_series(top / "01-01-2000-NA-NA-35511" / "3000923.000000-NA-62357", chest(0, 2), names="1-{:03d}.dcm")
    (root / "LICENSE").write_text("CC BY 3.0")
    return root


def test_lidc_layout(tmp_path: Path) -> None:
    found = LidcIdri(image_size=24).sources(lidc(tmp_path))
    assert [(source.subject, source.name, len(source.files)) for source in found] == [
        ("LIDC-IDRI-0001", "LIDC-IDRI-0001", 6),
        ("LIDC-IDRI-0002", "LIDC-IDRI-0002", 6),
        ("LIDC-IDRI-0002", "LIDC-IDRI-0002_scan2", 6),
    ]
    assert LidcIdri(image_size=24).read(found[0]).pixels.shape == (6, 1, 24, 24)


def test_lidc_of_one_patient_given_as_root(tmp_path: Path) -> None:
    lidc(tmp_path)
    found = LidcIdri().sources(tmp_path / "LIDC-IDRI-0002")
    assert {source.subject for source in found} == {"LIDC-IDRI-0002"}


def test_lidc_scout_in_the_same_folder(tmp_path: Path) -> None:
    lidc(tmp_path)
    folder = next((tmp_path / "LIDC-IDRI-0001" / "01-01-2000-NA-NA-30178").iterdir())
    write_series(folder, chest(5, 2, 50), names="scout-{:03d}.dcm", SeriesInstanceUID="1.7")
    items = LidcIdri(image_size=24).read(LidcIdri().sources(tmp_path)[0])
    assert items.pixels.shape == (6, 1, 24, 24)
    assert items.remarks == (("DICOM series of fewer than 4 planes skipped", "LIDC-IDRI-0001"),)


def test_lidc_no_ct(tmp_path: Path) -> None:
    assert refusal(lambda: LidcIdri().sources(tmp_path)) == (
        f"{tmp_path} holds no CT: no folder LIDC-IDRI-0001/STUDY/SERIES with at least 4 DICOM files"
        "\n  hint: give the folder that the NBIA Data Retriever filled"
    )


SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.105756658031515062000744821260"


def luna(root: Path) -> Path:
    """A scan of 40 x 30 x 20 voxels with one bright voxel at (7, 11, 13), and its place in the table."""
    voxels = np.full((20, 30, 40), -1000, np.int16)
    voxels[13, 11, 7] = 150
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.5, 2.0))
    image.SetOrigin((-100.0, -50.0, -300.0))
    (root / "subset0").mkdir(parents=True)
    SimpleITK.WriteImage(image, str(root / "subset0" / f"{SERIES}.mhd"))
    place = image.TransformIndexToPhysicalPoint((7, 11, 13))
    lines = ["seriesuid,coordX,coordY,coordZ,diameter_mm", f"{SERIES},{','.join(map(str, place))},5.6", "other,1,2,3,4"]
    (root / "annotations.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("items", ["tiles", "patches"])
def test_luna_nodule_is_in_the_middle_of_its_patch(tmp_path: Path, items: Any) -> None:
    dataset = Luna16(items=items, points="annotations", image_size=9)
    (source,) = dataset.sources(luna(tmp_path))
    found = dataset.read(source)
    assert found.names == ("p00000",)
    assert np.argwhere(found.pixels[0, 0] == 255).tolist() == [[4] * found.pixels[0, 0].ndim]


def test_luna_patch_keeps_the_nodule_at_another_spacing(tmp_path: Path) -> None:
    dataset = Luna16(items="patches", points="annotations", image_size=9, spacing=1.0)
    found = dataset.read(dataset.sources(luna(tmp_path))[0])
    brightest = np.unravel_index(found.pixels[0, 0].argmax(), (9, 9, 9))
    assert np.abs(np.array(brightest) - 4).max() <= 1
    assert found.spacing_mm == pytest.approx((1, 1, 1))


def test_luna_slices(tmp_path: Path) -> None:
    dataset = Luna16(image_size=32)
    items = dataset.read(dataset.sources(luna(tmp_path))[0])
    assert items.pixels.shape == (20, 1, 32, 32)
    assert items.orientation == "LPS"


def test_luna_points_of_slices(tmp_path: Path) -> None:
    assert refusal(lambda: Luna16(points="annotations"), UsageError) == (
        "points=annotations is of tiles and patches, not of slices\n  hint: add items=tiles"
    )


def test_luna_without_the_table(tmp_path: Path) -> None:
    dataset = Luna16(items="tiles", points="candidates")
    assert refusal(lambda: dataset.sources(luna(tmp_path))) == (
        f"{tmp_path}/candidates.csv does not exist\n  hint: download candidates.csv of LUNA16, or leave points out"
    )


def test_luna_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    dataset = Luna16(items="tiles", points="annotations", image_size=9)
    luna(tmp_path)
    (tmp_path / "annotations.csv").write_text(f"seriesuid,coordX,coordY,coordZ\n{SERIES},here,there,1\n")
    assert refusal(lambda: dataset.read(dataset.sources(tmp_path)[0]), BadDataError) == (
        f"{tmp_path}/annotations.csv holds coordinates that are not numbers\n  hint: download the file again"
    )


def test_luna_no_scans(tmp_path: Path) -> None:
    assert refusal(lambda: Luna16().sources(tmp_path)) == (
        f"{tmp_path} holds no scan: no file subset0/SERIES.mhd\n  hint: give the folder that holds subset0 to subset9"
    )
