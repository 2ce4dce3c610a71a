"""What every reader returns, and what every image must satisfy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError

if TYPE_CHECKING:
    from benchmark.core.types import Array


@dataclass(frozen=True)
class Image:
    """One image or volume as its file holds it."""

    pixels: Array
    """(rows, columns) of a raster, (x, y, z) in RAS+ of a NIfTI, any shape of an array file."""
    spacing_mm: tuple[float, ...] = ()
    """Millimetres between neighbours, one per axis; empty where the file does not say."""
    affine: Array | None = None
    """From voxel indices to mm in RAS, (4, 4), where the file gives the position in the patient."""
    orientation: str = ""
    """How the file stored it, such as LPS, where it says so."""


def checked(image: Image, path: Path, *, constant_ok: bool) -> Image:
    """Return the image unless it is empty, holds NaN or infinities, or is constant: then BadDataError."""
    pixels = image.pixels
    if pixels.size == 0:
        raise BadDataError(f"{path} holds an image without pixels, shape {pixels.shape}", "export the file again")
    if pixels.dtype.kind not in "biuf":
        raise BadDataError(
            f"{path} holds {pixels.dtype} values, one real number per pixel is needed", "save magnitudes in grey"
        )
    bad = _count_not_finite(pixels)
    if bad:
        raise BadDataError(
            f"{path} holds {bad} pixels that are NaN or infinite", "replace them with finite values, or leave it out"
        )
    if not constant_ok and not _varies(pixels):
        raise BadDataError(f"{path} is constant: every pixel is {pixels.flat[0]:g}", "export it again, or leave it out")
    return image


def _varies(pixels: Array) -> bool:
    """Return whether pixels of any shape differ; a few are compared first, which is enough for most images."""
    few = pixels[tuple(slice(None, None, max(1, size // 16)) for size in pixels.shape)]
    return bool(few.min() != few.max() or pixels.min() != pixels.max())


def _count_not_finite(pixels: Array) -> int:
    """Count NaN and infinities in pixels of any shape."""
    if not np.issubdtype(pixels.dtype, np.floating):
        return 0
    return int(pixels.size - np.count_nonzero(np.isfinite(pixels)))
