"""Grey PNG, JPEG and TIFF images of 8 or 16 bit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
from PIL import (  # noqa: F401 (each registers the decoder of FORMATS)
    BmpImagePlugin,
    GifImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import Image
from benchmark.images.readers.limits import decoding, require_limit
from benchmark.images.readers.terminal import silent

if TYPE_CHECKING:
    from benchmark.core.types import Array

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "JPEG2000", "WEBP")
"""Decoders that may run, whatever a file is named: others start further programs (EPS), or hold no photographs."""
GREY = {"1": "L", "L": "L", "I": "I", "I;16": "I;16", "I;16B": "I;16B", "I;16L": "I;16L", "F": "F"}
COLOUR = ("RGB", "RGBA", "LA", "P", "PA", "YCbCr")
TOLERANCE = {"JPEG": 4}
"""Grey levels by which the channels of a grey image may differ: JPEG rounds its colour channels."""
PIXEL_BYTES = 12
"""Bytes of memory per pixel while a colour image is compared with grey; Pillow assumes as many."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""TIFF's tag of what 0 means, and its value for films that are scanned as negatives."""

# Pillow would print warnings about tags, and above 89 million pixels; here a file is read, or refused by name.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)


def read(path: Path) -> Image:
    """Read one grey image as (rows, columns), uint8, uint16, int32 or float32 as the file stores it.

    Rows and columns are as the image is to be seen: the tag Orientation (EXIF) is applied, and low values are black.
    Colour files are read when their channels are equal. Raises BadDataError for real colour,
    transparency, several pages, damaged files, and sizes that the file cannot hold.
    """
    # Not by name: Pillow would map the file, and scrambles mapped TIFFs with Orientation 5 to 8.
    with path.open("rb") as file, _open(file, path) as image:
        with decoding(f"{path} is not an image, or its header is damaged"):
            pages = getattr(image, "n_frames", 1)
        if pages > 1:
            raise BadDataError(f"{path} holds {pages} pages, one image is needed", "save each page as its own file")
        _require_readable(image, path)
        negative = _is_negative(image)
        quiet = silent() if any("libtiff" in str(tile) for tile in _tiles(image)) else nullcontext()
        with decoding(f"{path} is truncated or damaged: its pixels cannot be read"), quiet:
            image.load()
        pixels = _grey(_upright(image), image.format, path)
    return Image(np.iinfo(np.uint16).max - pixels if negative else pixels)


def _open(file: IO[bytes], path: Path) -> PIL.Image.Image:
    try:
        with decoding(f"{path} is not an image, or its header is damaged"):
            return PIL.Image.open(file, formats=FORMATS)
    except BadDataError as error:
        if isinstance(error.__cause__, PIL.Image.DecompressionBombError):
            raise BadDataError(
                f"{path} holds too many pixels: {str(error.__cause__).partition(' exceeds')[0]}", "crop or resample it"
            ) from error
        raise


def _require_readable(image: PIL.Image.Image, path: Path) -> None:
    """Raise BadDataError for what would fill the memory, or lose grey levels, before anything is decoded."""
    require_limit(path, (image.height, image.width), PIXEL_BYTES)
    layout = " ".join(map(str, _tiles(image)))
    if image.mode in COLOUR and ";16" in layout:
        raise BadDataError(
            f"{path} has 16 bits per colour channel, of which 8 would be lost", "save it as a grey image of 16 bits"
        )


def _tiles(image: PIL.Image.Image) -> Sequence[object]:
    """Return what is to be decoded, with the decoders' names and layouts of pixels."""
    return image.tile if isinstance(image, PIL.ImageFile.ImageFile) else ()


def _is_negative(image: PIL.Image.Image) -> bool:
    """Return whether a 16-bit TIFF stores white as 0: Pillow inverts other depths itself."""
    tags = getattr(image, "tag_v2", {})
    return image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return the image as its tag Orientation asks; as stored where the tags are damaged, as viewers do."""
    try:
        with decoding("tags"):
            return PIL.ImageOps.exif_transpose(image) or image
    except BadDataError:
        return image


def _grey(image: PIL.Image.Image, kind: str | None, path: Path) -> Array:
    if image.mode in GREY:
        grey = np.asarray(image.convert(GREY[image.mode]))
        if isinstance(image.info.get("transparency"), int) and (grey == image.info["transparency"]).any():
            raise _transparent(path)
        return grey
    if image.mode not in COLOUR:
        raise BadDataError(f"{path} has colour mode {image.mode}, a grey image is needed", "save it as grey")
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise _transparent(path)
    colours = image.convert("RGB")
    difference = _channel_difference(np.asarray(colours))
    if difference > TOLERANCE.get(kind or "", 0):
        raise BadDataError(
            f"{path} is a colour image (its channels differ by up to {difference} levels), a grey image is needed",
            "convert it to grey, or leave it out",
        )
    return np.asarray(colours.convert("L"))


def _transparent(path: Path) -> BadDataError:
    return BadDataError(f"{path} has transparent pixels, an opaque grey image is needed", "save it as grey")


def _channel_difference(colours: Array) -> int:
    red, green, blue = (colours[..., channel] for channel in range(3))
    greatest, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return int((greatest - least).max())
