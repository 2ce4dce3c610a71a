"""The files that nibabel is tested with, of many programs and years: an image or one sentence, never a crash."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import READERS, Image, read_image

ROOT = Path(nibabel.__file__).parent
DATA = ROOT / "tests" / "data"
FOLDERS = [ROOT / part / "tests" / "data" for part in (".", "freesurfer", "gifti", "nicom", "streamlines")]
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]
"""NIfTI, Analyze, DICOM, MINC, PAR/REC, surfaces, tracts, damaged ones."""
VOLUMES = ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"]

pytestmark = pytest.mark.skipif(len(FILES) < 100, reason="this nibabel was installed without its test files")


def read(path: Path, part: int | None = None) -> Image | BadDataError:
    """Return the image, or why there is none."""
    try:
        return read_image(path, part=part)
    except BadDataError as error:
        return error


def test_every_file_is_an_image_or_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = {path: read(path) for path in FILES}
    images = {path.name: outcome for path, outcome in outcomes.items() if isinstance(outcome, Image)}
    assert set(VOLUMES) <= set(images)
    assert all(np.isfinite(image.pixels).all() for image in images.values())
    assert all(size > 0 for image in images.values() for size in image.spacing_mm)
    refused = {path: outcome for path, outcome in outcomes.items() if isinstance(outcome, BadDataError)}
    assert all(str(path) in error.message and "\n" not in error.message for path, error in refused.items())
    assert all(error.hint for error in refused.values())
    assert capfd.readouterr() == ("", ""), "no library wrote to the terminal"


@pytest.mark.parametrize("name", VOLUMES)
def test_whole_files_give_what_nibabel_gives(name: str) -> None:
    image = read_image(DATA / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = nibabel.as_closest_canonical(nibabel.load(DATA / name))
    assert np.array_equal(image.pixels, np.asanyarray(expected.dataobj))
    assert image.affine == pytest.approx(expected.affine)
    assert image.spacing_mm == pytest.approx(nibabel.affines.voxel_sizes(expected.affine))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("example4d.nii.gz", (128, 96, 24)),
        ("example_nifti2.nii.gz", (32, 20, 12)),
        ("functional.nii", (17, 21, 3)),
    ],
)
def test_a_part_of_real_files_of_four_dimensions(name: str, shape: tuple[int, ...]) -> None:
    image = read(DATA / name, part=1)
    assert isinstance(image, Image)
    assert image.pixels.shape == shape


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".h5", ".npy", ".npz", ".png", ".jpg", ".tif"])
def test_files_of_another_format_are_refused_by_name(tmp_path: Path, ending: str) -> None:
    """Whatever the name says, the content decides, and no decoder's error comes through."""
    assert ending in READERS
    for number, path in enumerate(FILES):
        wrong = tmp_path / f"{number}{ending}"
        wrong.write_bytes(path.read_bytes())
        outcome = read(wrong)
        assert isinstance(outcome, Image) or outcome.message.startswith(str(wrong))
