"""Grey PNG, JPEG and TIFF images of 8 or 16 bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

GREY = {"1": "L", "L": "L", "I": "I", "I;16": "I;16", "I;16B": "I;16B", "I;16L": "I;16L", "F": "F"}
COLOUR = ("RGB", "RGBA", "LA", "P", "PA", "YCbCr")
TOLERANCE = {"JPEG": 4}
"""Grey levels by which the channels of a grey image may differ: JPEG rounds its colour channels."""
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError)


def read(path: Path) -> Image:
    """Read one grey image as (rows, columns), uint8, uint16, int32 or float32 as the file stores it.

    Colour files are read when their channels are equal. Raises BadDataError for real colour,
    transparency, several pages and damaged files.
    """
    try:
        image = PIL.Image.open(path)
    except DAMAGE as error:
        raise BadDataError(f"{path} is not an image, or its header is damaged", _AGAIN) from error
    with image:
        pages = getattr(image, "n_frames", 1)
        if pages > 1:
            raise BadDataError(f"{path} holds {pages} pages, one image is needed", "save each page as its own file")
        try:
            image.load()
        except DAMAGE as error:
            raise BadDataError(f"{path} is truncated or damaged: its pixels cannot be read", _AGAIN) from error
        return Image(_grey(image, path))


def _grey(image: PIL.Image.Image, path: Path) -> Array:
    if image.mode in GREY:
        return np.asarray(image.convert(GREY[image.mode]))
    if image.mode not in COLOUR:
        raise BadDataError(f"{path} has colour mode {image.mode}, a grey image is needed", "save it as grey")
    _require_opaque(image, path)
    colours = image.convert("RGB")
    difference = _channel_difference(np.asarray(colours))
    if difference > TOLERANCE.get(image.format or "", 0):
        raise BadDataError(
            f"{path} is a colour image (its channels differ by up to {difference} levels), a grey image is needed",
            "convert it to grey, or leave it out",
        )
    return np.asarray(colours.convert("L"))


def _require_opaque(image: PIL.Image.Image, path: Path) -> None:
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise BadDataError(f"{path} has transparent pixels, an opaque grey image is needed", "save it as grey")


def _channel_difference(colours: Array) -> int:
    red, green, blue = (colours[..., channel] for channel in range(3))
    greatest, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return int((greatest - least).max())


_AGAIN = "download or copy the file again"
