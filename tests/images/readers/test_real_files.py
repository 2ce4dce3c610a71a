"""Files that packages ship for their own tests, of many programs and years: an image or one sentence, never a crash."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import READERS, Image, read_image


def folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


NIBABEL = folder("nibabel")
FILES = sorted(path for path in NIBABEL.rglob("tests/data/*") if path.is_file() and path.name[0] != ".")


def read(path: Path, part: int | None = None) -> Image | str:
    """Return the image, or why there is none."""
    try:
        return read_image(path, part=part)
    except BadDataError as error:
        return error.message


def test_every_file_of_nibabel_becomes_an_image_or_one_sentence() -> None:
    outcomes = [read(path) for path in FILES]
    images = [outcome for outcome in outcomes if isinstance(outcome, Image)]
    assert all(np.isfinite(image.pixels).all() for image in images)
    assert all(size > 0 for image in images for size in image.spacing_mm)
    assert len(images) >= 8
    refused = {path: outcome for path, outcome in zip(FILES, outcomes, strict=True) if isinstance(outcome, str)}
    assert all("\n" not in sentence and str(path) in sentence for path, sentence in refused.items())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("example4d.nii.gz", (128, 96, 24)),
        ("example_nifti2.nii.gz", (32, 20, 12)),
        ("functional.nii", (17, 21, 3)),
    ],
)
def test_a_part_of_real_files_of_four_dimensions(name: str, shape: tuple[int, ...]) -> None:
    image = read(NIBABEL / "tests" / "data" / name, part=1)
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
        assert isinstance(outcome, Image) or outcome.startswith(str(wrong))


def test_whole_files_give_what_nibabel_gives() -> None:
    import nibabel

    for name in ("anatomical.nii", "standard.nii.gz", "reoriented_anat_moved.nii"):
        path = NIBABEL / "tests" / "data" / name
        expected = nibabel.as_closest_canonical(nibabel.load(path))
        image = read_image(path)
        assert np.array_equal(image.pixels, np.asanyarray(expected.dataobj))
        assert image.affine == pytest.approx(expected.affine)
