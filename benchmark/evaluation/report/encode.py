"""Images as data URIs, as small as the page's limit demands and as exact as it allows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

QUALITIES = (None, 90, 75, 50)
"""WebP: without loss, then at falling quality."""
EFFORT = 2
"""How hard the encoder tries, 0 to 6: this takes half of the time of its usual 4, for files of nearly the same size."""
HOPELESS = 1.5
"""Files that are so many times larger than their share of the limit will not fit: the images of a suspect are alike."""
NOTHING = (70, 110, 115)
"""Colour where there is nothing to compare: in no grey scale, and not in the colours of the map."""


def encode_all(images: Sequence[Array], limit: int) -> tuple[list[bytes], int | None]:
    """Return uint8 images as WebP files of at most `limit` bytes together, and the quality.

    The best quality that fits is taken, nothing standing for no loss; the lowest one where none does.
    """
    for quality in QUALITIES:
        files = _within(images, quality, limit)
        if files is not None:
            return files, quality
    return [webp(image, QUALITIES[-1]) for image in images], QUALITIES[-1]


def _within(images: Sequence[Array], quality: int | None, limit: int) -> list[bytes] | None:
    """Return the files, or nothing as soon as they will not fit: encoding takes most of a report's time."""
    files: list[bytes] = []
    for image in images:
        files.append(webp(image, quality))
        used, share = sum(map(len, files)), limit * len(files) / len(images)
        if used > min(limit, HOPELESS * share):
            return None
    return files


def webp(image: Array, quality: int | None) -> bytes:
    """Return a grey image (rows, columns) or a colour image (rows, columns, 3), uint8, as a WebP file."""
    buffer = io.BytesIO()
    options = {"lossless": True} if quality is None else {"quality": quality}
    PIL.Image.fromarray(np.ascontiguousarray(image)).convert("RGB").save(buffer, "WEBP", method=EFFORT, **options)
    return buffer.getvalue()


def png(image: Array) -> bytes:
    """Return a grey image (rows, columns), uint8, as a PNG file."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(file: bytes) -> str:
    """Return a PNG or WebP file as an address that a page can hold."""
    kind = "png" if file[:4] == b"\x89PNG" else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def map_colours(similarity: Array) -> Array:
    """Return correlations (rows, columns) in colours (rows, columns, 3), uint8: dark for 0 and below, light for 1.

    The colours are Matplotlib's magma. Its lightness grows evenly, so that it reads the same in grey and with red-green
    colour blindness.
    """
    from matplotlib import colormaps

    colours = np.asarray(colormaps["magma"](np.nan_to_num(similarity).clip(0, 1)))[..., :3]
    return _with_nothing((colours * 255).round().astype(np.uint8), np.isnan(similarity))


def difference_colours(gap: Array, white: float) -> Array:
    """Return differences (rows, columns) in grey (rows, columns, 3), uint8: black for 0, white for `white` and more."""
    grey = (np.nan_to_num(gap) / white * 255).round().clip(0, 255).astype(np.uint8)
    return _with_nothing(np.repeat(grey[..., None], 3, axis=-1), np.isnan(gap))


def _with_nothing(colours: Array, nothing: Array) -> Array:
    return np.where(nothing[..., None], np.array(NOTHING, dtype=np.uint8), colours)
