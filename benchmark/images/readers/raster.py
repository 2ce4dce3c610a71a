"""Grey PNG, JPEG and TIFF images of 8 or 16 bit."""

from __future__ import annotations

import struct
import sys
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
from benchmark.images.readers.limits import AGAIN, decoding, require_limit, require_ratio
from benchmark.images.readers.terminal import silent

if TYPE_CHECKING:
    from benchmark.core.types import Array

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "JPEG2000", "WEBP")
"""Decoders that may run, whatever a file is named: others start further programs (EPS), or hold no photographs."""
GREY = {"1": "L", "L": "L", "I": "I", "I;16": "I;16", "I;16B": "I;16B", "I;16L": "I;16L", "F": "F"}
COLOUR = ("RGB", "RGBA", "LA", "P", "PA", "YCbCr")
TOLERANCE = {"JPEG": 4}
"""Grey levels by which the channels of a grey image may differ: JPEG rounds its colour channels."""
PIECE = 2**20
"""Bytes read at a time."""
ANY_RATIO_BYTES = 64 * 2**20
BYTES = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes per pixel of the modes that have more than one per channel."""
PIXEL_BYTES = 12
"""Bytes of memory per pixel while a colour image is compared with grey; Pillow assumes as many."""
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF's tags of the bits of a value, of what 0 means, and of the type of number."""
WHITE_IS_ZERO = 0
"""PHOTOMETRIC of films that are scanned as negatives."""
UNSIGNED, SIGNED = (1,), (2,)
"""SAMPLE_FORMAT of whole numbers."""
PNG, TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of files; TIFF of either byte order, and BigTIFF."""
SWAPPED = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}
"""Layouts in big-endian order -> in the order of this computer, to which libtiff has converted them already."""

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
        _correct_layout(image)
        quiet = silent() if any("libtiff" in str(tile) for tile in _tiles(image)) else nullcontext()
        with decoding(f"{path} is truncated or damaged: its pixels cannot be read"), quiet:
            image.load()
        return Image(_as_meant(_grey(_upright(image), image.format, path), getattr(image, "tag_v2", {})))


def _open(file: IO[bytes], path: Path) -> PIL.Image.Image:
    start = file.read(len(PNG))
    if start == PNG:
        _require_checksums(file, path)
    file.seek(0)
    try:
        with decoding(f"{path} is not an image, or its header is damaged"):
            return PIL.Image.open(file, formats=FORMATS)
    except BadDataError as error:
        if isinstance(error.__cause__, PIL.Image.DecompressionBombError):
            raise BadDataError(
                f"{path} holds too many pixels: {str(error.__cause__).partition(' exceeds')[0]}", "crop or resample it"
            ) from error
        if start.startswith(TIFF):
            raise BadDataError(
                f"{path} is a TIFF with a damaged header, or with pixels of a kind that is not read, such as float64",
                "save it as a grey image of 8 or 16 bits, or of float32",
            ) from error
        raise


def _require_checksums(file: IO[bytes], path: Path) -> None:
    """Raise BadDataError where pixels of a PNG are not those that were written: Pillow checks other chunks only."""
    size = path.stat().st_size
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind != b"IDAT":
            file.seek(length + 4, 1)
            continue
        if file.tell() + length + 4 > size:  # before memory for it is taken
            raise BadDataError(f"{path} is truncated or damaged: its pixels cannot be read", AGAIN)
        value = zlib.crc32(kind)
        for done in range(0, length, PIECE):
            value = zlib.crc32(file.read(min(PIECE, length - done)), value)
        if value != int.from_bytes(file.read(4), "big"):
            raise BadDataError(f"{path} is damaged: the checksum of its pixels is wrong", AGAIN)


def _correct_layout(image: PIL.Image.Image) -> None:
    """Tell Pillow the byte order of compressed TIFFs, which it corrects for 16 bits without a sign only."""
    if sys.byteorder == "little" and isinstance(image, PIL.ImageFile.ImageFile):
        image.tile = [
            tile._replace(args=(SWAPPED.get(tile.args[0], tile.args[0]), *tile.args[1:]))
            if tile.codec_name == "libtiff" and isinstance(tile.args, tuple)
            else tile
            for tile in image.tile
        ]


def _require_readable(image: PIL.Image.Image, path: Path) -> None:
    """Raise BadDataError for what would fill the memory, or lose grey levels, before anything is decoded."""
    require_limit(path, (image.height, image.width), PIXEL_BYTES)
    unpacked = image.height * image.width * sum(BYTES.get(band, 1) for band in (image.mode, *image.getbands()[1:]))
    require_ratio(path, unpacked, path.stat().st_size, ANY_RATIO_BYTES)
    layout = " ".join(map(str, _tiles(image)))
    if image.mode in COLOUR and ";16" in layout:
        raise BadDataError(
            f"{path} has 16 bits per colour channel, of which 8 would be lost", "save it as a grey image of 16 bits"
        )


def _tiles(image: PIL.Image.Image) -> Sequence[object]:
    """Return what is to be decoded, with the decoders' names and layouts of pixels."""
    return image.tile if isinstance(image, PIL.ImageFile.ImageFile) else ()


def _as_meant(pixels: Array, tags: Mapping[int, Any]) -> Array:
    """Return pixels (rows, columns) as the tags of a TIFF ask, where Pillow ignores them.

    Pillow reads signed bytes, and unsigned numbers of 32 bits, as if they had the other sign, and inverts 8 bits only.
    """
    sign = tags.get(SAMPLE_FORMAT, UNSIGNED)
    if sign == SIGNED and pixels.dtype == np.uint8:
        pixels = pixels.view(np.int8)
    if sign == UNSIGNED and pixels.dtype == np.int32 and tags.get(BITS) == (32,):
        pixels = pixels.view(np.uint32)
    if tags.get(PHOTOMETRIC) != WHITE_IS_ZERO or pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "f":
        return np.asarray(pixels.max() + pixels.min() - pixels)
    return np.asarray(np.iinfo(pixels.dtype).max - pixels)


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
