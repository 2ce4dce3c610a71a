"""MetaImage and NRRD volumes and planes, through SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import LPS_TO_RAS, canonical
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array


def read(path: Path) -> Image:
    """Read a volume as (x, y, z) in RAS+, or a plane as (rows, columns). Raises BadDataError for others."""
    import SimpleITK  # 50 MB: loaded where such a file is met

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image: Any = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise BadDataError(
            f"{path} is damaged, or the file with its voxels is missing", "copy header and voxels again"
        ) from error
    if image.GetNumberOfComponentsPerPixel() > 1 or image.GetDimension() not in (2, 3):
        raise BadDataError(
            f"{path} holds {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} "
            "values per voxel, one grey volume is needed",
            "split it into one file per volume",
        )
    voxels = SimpleITK.GetArrayFromImage(image)
    if voxels.ndim == 2:
        return Image(voxels, tuple(float(size) for size in image.GetSpacing()[::-1]))
    return canonical(voxels.transpose(2, 1, 0), _affine(image), path)


def _affine(image: Any) -> Array:
    """Return the map from voxel indices to mm in RAS, (4, 4): columns of directions (LPS) times spacing."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ affine
