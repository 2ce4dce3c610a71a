"""One function that reads any supported image file: NIfTI, PNG, JPEG, TIFF, npy, npz."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BadDataError
from benchmark.readers import arrays, nifti, raster
from benchmark.readers.image import Image, checked

__all__ = ["Image", "read_image"]

READERS = {
    ".nii": nifti.read,
    ".nii.gz": nifti.read,
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
    ".png": raster.read,
    ".jpg": raster.read,
    ".jpeg": raster.read,
    ".tif": raster.read,
    ".tiff": raster.read,
}
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def read_image(path: Path | str, *, constant_ok: bool = False) -> Image:
    """Read one image or volume in the number type of its file.

    2D files give (rows, columns); NIfTI gives (x, y, z) in RAS+ orientation with millimetre spacing.
    `constant_ok` admits an image of one value, such as an empty segmentation.
    Raises BadDataError, naming the file, for all that cannot be used.
    """
    path = Path(path)
    reader = READERS.get(suffix(path))
    if reader is None:
        raise _unsupported(path)
    _require_bytes(path)
    return checked(reader(path), path, constant_ok=constant_ok)


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
    return BadDataError(f"{path} is not an image format that can be read", f"convert it to one of {', '.join(READERS)}")
