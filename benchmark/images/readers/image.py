"""What every reader returns, and what every image must satisfy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.core.errors import BadDataError

if TYPE_CHECKING:
    from benchmark.core.types import Array

NaN = Literal["refuse", "background"]
"""What a data set does with an image that holds NaN: refuse it, or take NaN for background, the least finite value."""
IN_DOUBT = "in doubt"
"""How a remark starts that tells how a contradictory file was read: --strict refuses such files."""
FILLED = "NaN pixels set to the least value of their file (nan=background)"


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
    remarks: tuple[tuple[str, str], ...] = ()
    """What the user must know of how it was read: what, the same text for all files, and this file's details."""


def remarks_on(images: Sequence[Image], name: str) -> tuple[tuple[str, str], ...]:
    """Return the remarks of the images of a source, each with the source's name, for `Items.remarks`."""
    said = dict.fromkeys((what, detail) for image in images for what, detail in image.remarks)
    return tuple((what, f"{name} ({detail})" if detail else name) for what, detail in said)


def checked(image: Image, path: Path, *, constant_ok: bool, nan: NaN | None = None) -> Image:
    """Return the image unless it is empty, holds NaN or infinities, or is constant: then BadDataError.

    Args:
        image: any format.
        path: for messages.
        constant_ok: whether all pixels may be equal.
        nan: the data set's option; None where there is no such option.
    """
    pixels = image.pixels
    if pixels.size == 0:
        raise BadDataError(f"{path} holds an image without pixels, shape {pixels.shape}", "export the file again")
    if pixels.dtype.kind not in "biuf":
        raise BadDataError(
            f"{path} holds {pixels.dtype} values, one real number per pixel is needed", "save magnitudes in grey"
        )
    image = _finite(image, path, nan)
    if not constant_ok and not _varies(image.pixels):
        raise BadDataError(
            f"{path} is constant: every pixel is {image.pixels.flat[0]:g}", "export it again, or leave it out"
        )
    return image


def _finite(image: Image, path: Path, nan: NaN | None) -> Image:
    """Return the image without NaN, or raise BadDataError: infinities are overflows, never background."""
    pixels = image.pixels
    if not np.issubdtype(pixels.dtype, np.floating) or np.isfinite(pixels).all():
        return image
    missing = np.isnan(pixels)
    count = int(missing.sum())
    infinite = int(np.isinf(pixels).sum())
    if infinite:
        also = f", and {count} that are NaN" if count else ""
        raise BadDataError(
            f"{path} holds {infinite} pixels that are infinite{also}",
            "replace them with finite values, or leave it out",
        )
    if count == pixels.size:
        raise BadDataError(f"{path} holds only NaN", "export it again, or leave it out")
    if nan != "background":
        option = " (--set-data nan=background takes them for background)" if nan else ""
        raise BadDataError(
            f"{path} holds {count} pixels that are NaN{option}", "replace them with finite values, or leave it out"
        )
    filled = np.where(missing, pixels[~missing].min(), pixels)
    return replace(image, pixels=filled, remarks=(*image.remarks, (FILLED, f"{count} of {pixels.size}")))


def _varies(pixels: Array) -> bool:
    """Return whether pixels of any shape differ; a few are compared first, which is enough for most images."""
    few = pixels[tuple(slice(None, None, max(1, size // 16)) for size in pixels.shape)]
    return bool(few.min() != few.max() or pixels.min() != pixels.max())
