"""One function that reads any supported image file: NIfTI, DICOM, MetaImage, NRRD, HDF5, PNG, JPEG, TIFF, npy, npz."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image, NaN, checked
from benchmark.images.readers.limits import require_file

__all__ = ["Image", "NaN", "is_dicom", "read_image"]

# Each reader, and the library behind it, is imported when the first such file is read.


def _nifti(path: Path, part: int | None = None) -> Image:
    from benchmark.images.readers.nifti import read

    return read(path, part=part)


def _dicom(path: Path) -> Image:
    from benchmark.images.readers.dicom import read

    return read(path)


def _itk(path: Path) -> Image:
    from benchmark.images.readers.itk import read

    return read(path)


def _hdf5(path: Path) -> Image:
    from benchmark.images.readers.hdf5 import read

    return read(path)


def _numpy(path: Path) -> Image:
    from benchmark.images.readers.arrays import read

    return read(path)


def _raster(path: Path) -> Image:
    from benchmark.images.readers.raster import read

    return read(path)


READERS = {
    ".nii": _nifti,
    ".nii.gz": _nifti,
    ".hdr": _nifti,
    ".dcm": _dicom,
    ".dicom": _dicom,
    ".ima": _dicom,
    ".mhd": _itk,
    ".mha": _itk,
    ".nrrd": _itk,
    ".nhdr": _itk,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".npy": _numpy,
    ".npz": _numpy,
    ".png": _raster,
    ".jpg": _raster,
    ".jpeg": _raster,
    ".tif": _raster,
    ".tiff": _raster,
}
"""File name ending -> the function that reads it."""
DICOM = (".dcm", ".dicom", ".ima")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def read_image(
    path: Path | str, *, constant_ok: bool = False, nan: NaN | None = None, part: int | None = None
) -> Image:
    """Read one image or volume in the number type of its file.

    2D files give (rows, columns); NIfTI, MetaImage and NRRD volumes (x, y, z) in RAS+ orientation with millimetre
    spacing; arrays keep their shape. A DICOM series, one file per plane, is for `series.read_series`.
    `constant_ok` admits an image of one value, such as an empty segmentation. `nan` says what NaN means, see
    `image.checked`; `part` chooses one volume of a 4D NIfTI, from 0.
    Raises BadDataError, naming the file, for every file that cannot be used.
    """
    path = Path(path)
    require_file(path)
    reader = _dicom if is_dicom(path) else READERS.get(suffix(path))
    if reader is None:
        raise _unsupported(path)
    _require_bytes(path)
    image = reader(path) if part is None or reader is not _nifti else _nifti(path, part)
    return checked(image, path, constant_ok=constant_ok, nan=nan)


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its name, or by its first bytes where the name has no known ending."""
    ending = path.suffix.lower()
    if ending in DICOM:
        return True
    if ending and not ending[1:].isdigit():  # names of scanners have no ending, or end in a number
        return False
    try:
        if not path.is_file():  # a pipe would block whoever opens it
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def suffix(path: Path) -> str:
    """Return the lower-case ending that names the format; `.nii.gz` counts as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def _require_bytes(path: Path) -> None:
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except FileNotFoundError as error:
        raise BadDataError(f"{path} does not exist", "check the path, or copy the file again") from error
    except OSError as error:
        raise BadDataError(
            f"{path} cannot be opened: {error.strerror}", "check that it is a file, and its permissions"
        ) from error
    if not first:
        raise BadDataError(f"{path} is empty (0 bytes)", "download or copy the file again")


def _unsupported(path: Path) -> BadDataError:
    if suffix(path) in PICKLES:
        return BadDataError(
            f"{path} is a pickle, and opening a pickle can run any code hidden in it",
            "save the array with numpy.save and give the .npy file",
        )
    if suffix(path) == ".img":
        return BadDataError(f"{path} holds voxels without their header", f"give {path.stem}.hdr in the same folder")
    return BadDataError(f"{path} is not an image format that can be read", f"convert it to one of {', '.join(READERS)}")
