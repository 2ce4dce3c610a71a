"""The files that nibabel is tested with: NIfTI, Analyze, MINC, PAR/REC, surfaces, tracts, damaged ones."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

ROOT = Path(nibabel.__file__).parent
FOLDERS = [ROOT / part / "tests" / "data" for part in (".", "freesurfer", "gifti", "nicom", "streamlines")]
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*")) if path.is_file()]
VOLUMES = ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"]


def test_every_file_is_an_image_or_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    if len(FILES) < 100:
        pytest.skip("this nibabel was installed without its test files")
    names = []
    for path in FILES:
        try:
            names += [path.name] if read_image(path).pixels.size else []
        except BadDataError as error:
            refused = error
        else:
            continue
        assert str(path) in refused.message
        assert "\n" not in refused.message
        assert refused.hint
    assert set(VOLUMES) <= set(names)
    assert capfd.readouterr() == ("", ""), "no library wrote to the terminal"


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_those_that_nibabel_reads(name: str) -> None:
    path = ROOT / "tests" / "data" / name
    if not path.exists():
        pytest.skip("this nibabel was installed without its test files")
    image = read_image(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = nibabel.as_closest_canonical(nibabel.load(path))
    assert np.array_equal(image.pixels, np.asanyarray(expected.dataobj))
    assert image.spacing_mm == pytest.approx(nibabel.affines.voxel_sizes(expected.affine))
