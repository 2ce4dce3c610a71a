"""Real DICOM files: those of pydicom, of pydicom-data and of nibabel, which pip installs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
from dicom_files import compress
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from benchmark.core.errors import BadDataError
from benchmark.images.readers import Image, read_image
from benchmark.images.readers.dicom import read
from benchmark.images.readers.series import read_series

data_store = pytest.importorskip("data_store", reason="pydicom-data is not installed")

PYDICOM = Path(pydicom.data.__file__).parent
LARGE = Path(data_store.__file__).parent / "data"
NIBABEL = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))


def read_or_refused(read_file: Callable[[Path], Sequence[Image]], path: Path) -> bool:
    """Return whether a file gives images; otherwise check the sentence that refuses it."""
    try:
        images = read_file(path)
    except BadDataError as error:
        message, hint = error.message, error.hint
    else:
        assert all(image.pixels.size and np.isfinite(image.pixels).all() for image in images)
        assert all(size > 0 for image in images for size in image.spacing_mm)
        return True
    assert str(path) in message
    assert "\n" not in message
    assert hint
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "fewest", "images"), [(PYDICOM, 190, 55), (LARGE, 68, 23), (NIBABEL, 14, 2)],
    ids=["pydicom", "pydicom-data", "nibabel"],
)  # fmt: skip
def test_every_file_is_an_image_or_one_sentence(
    folder: Path, fewest: int, images: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Reports, plans, dose grids, colour, films and damaged files are refused, whatever their name."""
    listed = files(folder)
    assert len(listed) >= fewest
    assert sum(read_or_refused(lambda path: [read(path)], path) for path in listed) >= images
    for path in listed:
        read_or_refused(lambda path: [read_image(path)], path)
        read_or_refused(lambda path: read_series([path]).volumes, path)
    assert capfd.readouterr() == ("", ""), "no library wrote to the terminal"


@pytest.mark.slow
def test_every_folder_is_volumes_or_one_sentence() -> None:
    folders = {path.parent for root in (PYDICOM, LARGE, NIBABEL) for path in files(root)}
    for folder in sorted(folders):
        listed = [path for path in sorted(folder.iterdir()) if path.is_file()]
        with contextlib.suppress(BadDataError):
            assert read_series(listed).volumes


FAMILIES = {
    "MR_small": [
        "MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm",
    ],
    "CT 693": ["693_UNCR.dcm", "693_J2KR.dcm"],
    "CR RG1": ["RG1_UNCR.dcm", "RG1_J2KR.dcm"],
    "CR RG3": ["RG3_UNCR.dcm", "RG3_J2KR.dcm"],
    "MR2": ["MR2_UNCR.dcm", "MR2_J2KR.dcm"],
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_lossless_encodings_of_one_image_are_equal(family: str) -> None:
    first, *others = (read(_path(name)) for name in FAMILIES[family])
    for other in others:
        assert np.array_equal(first.pixels, other.pixels)
        assert first.spacing_mm == other.spacing_mm


SYNTAXES = {
    "RLE": None,
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", ["CT_small.dcm", "693_UNCR.dcm", "RG3_UNCR.dcm"])
def test_real_ct_and_cr_in_every_lossless_encoding(tmp_path: Path, name: str, syntax: str) -> None:
    path = tmp_path / "encoded.dcm"
    path.write_bytes(_path(name).read_bytes())
    encode(path, syntax)
    assert np.array_equal(read(_path(name)).pixels, read(path).pixels)


def encode(path: Path, syntax: str) -> None:
    chosen = SYNTAXES[syntax]
    if chosen is None:
        compress(path, "rle")
    elif isinstance(chosen, int):
        compress(path, "gdcm", chosen)
    else:
        file = pydicom.dcmread(path)
        if chosen == ExplicitVRBigEndian:  # pydicom writes the bytes of pixels as they are
            file.PixelData = np.frombuffer(file.PixelData, "<u2").astype(">u2").tobytes()
        file.file_meta.TransferSyntaxUID = chosen
        copied = pydicom.Dataset()
        copied.update({element.tag: element for element in file if element.tag.group < 0xFFFC})
        copied.file_meta = file.file_meta
        copied.save_as(path, implicit_vr=chosen.is_implicit_VR, little_endian=chosen.is_little_endian)


def _path(name: str) -> Path:
    return next(path for path in (LARGE / name, PYDICOM / "test_files" / name) if path.exists())
