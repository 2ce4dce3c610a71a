"""Pixels of given images that must not leave private files, and the search for them in any output.

An output may hold an image as a file, as a data address in a page, as one thumbnail of a larger figure, as an array, as
a list of numbers, or as raw bytes. `pixel_leaks` looks for all of these, in any layer of encoding or compression.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from canaries import layers
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from scipy.fft import dctn

Floats = NDArray[np.floating]

HASHED = 32
"""Side of the image that a perceptual hash is computed from."""
SAME = 12
"""Bits of 63 in which hashes of one image may differ. A copy of 24 x 24 pixels as JPEG of quality 50 differs in 8 at
most (300 real X-rays), and unrelated images in half of them. Other X-rays differ in 12 or fewer in 2 % of the pairs: an
image so near to a patient's is no less an alarm."""
SIDE = 16
"""Side of the thumbnails that parts of a figure are compared with."""
SMALLEST, STEP = 24, 1.15
"""Pixels of the smallest thumbnail that is looked for in a figure, and the factor between two sizes that are tried."""
ALIKE = 0.9
"""Correlation from which a part of a figure is a thumbnail of an image: at most 1/32 of it is cut off at each side, and
its size is within 7 % of one that is tried."""
LIST = 64
"""Numbers in a row that may be pixels, and bytes in a row that must not occur."""
EXACT = 0.999
"""Correlation from which a list of so many numbers is one of pixels, whatever its unit."""
NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
LISTS = re.compile(rf"{NUMBER}(?:[\s,;|\[\]]+{NUMBER}){{{LIST - 1},}}")
WRAPPED = re.compile(rb"base64,([A-Za-z0-9+/=_\s-]+)")


@dataclass(frozen=True)
class Pixels:
    """Images that are looked for."""

    hashes: NDArray[np.bool_]
    """(8 n, 63) in all orientations."""
    thumbnails: Floats
    """(8 n, SIDE^2), each of mean 0 and length 1."""
    rows: frozenset[bytes]
    """Windows of the pixels' bytes, in the types in which arrays are stored."""
    starts: NDArray[np.uint64]
    """(k,) the first 8 bytes of each of them."""
    lists: Floats
    """(m, LIST) all windows of all images in the order of their pixels, each of mean 0 and length 1."""


def pixels_of(images: Sequence[NDArray[np.uint8]]) -> Pixels:
    """Prepare the search for images (rows, columns) of 8 bits; images and thumbnails are as good as square."""
    rows = frozenset(window for image in images for window in stored(image))
    lists = np.concatenate([sliding_window_view(image.ravel(), LIST) for image in images]).astype(np.float32)
    views = [view for image in images for view in flipped(image)]
    return Pixels(
        hashes=np.array([perceptual_hash(view) for view in views]),
        thumbnails=unit(np.array([resized(view, (SIDE, SIDE)).ravel() for view in views])),
        rows=rows,
        starts=np.unique(np.frombuffer(b"".join(row[:8] for row in rows), np.uint64)),
        lists=unit(lists[lists.std(axis=1) > 1]),
    )


def flipped(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield an image in its eight orientations: matplotlib writes images upside down into SVG, with a transform."""
    for view in (image, image.T):
        yield from (view, view[::-1], view[:, ::-1], view[::-1, ::-1])


def perceptual_hash(image: Floats | NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return pHash of an image (rows, columns): which of its 63 lowest frequencies are above their median (63,)."""
    low = dctn(resized(image, (HASHED, HASHED)))[:8, :8].ravel()[1:]
    return np.asarray(low > np.median(low))


def resized(image: Floats | NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image (rows, columns) at another size (columns, rows), by the mean of the pixels it is reduced from."""
    given = Image.fromarray(np.asarray(image, dtype=np.float32))
    return np.asarray(given.resize(size, Image.Resampling.BILINEAR))


def unit(rows: Floats) -> NDArray[np.float32]:
    """Return rows of mean 0 and length 1, so that products are correlations; a constant row becomes 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def stored(image: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield windows of the bytes of an image as it may be stored, one after the other, without nearly constant ones."""
    level = image.ravel().astype(np.float32)
    for values in (image.ravel(), image.ravel().astype(np.uint16), level, level / 255, level / 127.5 - 1):
        data = values.tobytes()
        windows = [data[start : start + LIST] for start in range(0, len(data) - LIST + 1, LIST)]
        yield from (window for window in windows if len(set(window)) >= 8)


def pixel_leaks(data: bytes, known: Pixels) -> set[str]:
    """Return what of a file is pixels of a known image."""
    return {leak for layer in layers(data) for part in (layer, *unwrapped(layer)) for leak in _in_layer(part, known)}


def unwrapped(layer: bytes) -> Iterator[bytes]:
    """Yield data addresses whose base64 goes over several lines, as matplotlib writes it."""
    for match in WRAPPED.findall(layer):
        if b"\n" in match:
            with suppress(ValueError):
                yield base64.b64decode(b"".join(match.split()))


def _in_layer(layer: bytes, known: Pixels) -> Iterator[str]:
    if _has_row(layer, known):
        yield "raw bytes"
    for image in images_in(layer):
        yield from _alike(image, known)
    for array in arrays_in(layer):
        yield from _numbers(array, known)


def _has_row(layer: bytes, known: Pixels) -> bool:
    """Whether any window of pixels' bytes occurs; only where its first 8 bytes do, the others are compared."""
    if len(layer) < LIST:
        return False
    starts = sliding_window_view(np.frombuffer(layer, np.uint8), 8)[: len(layer) - LIST + 1]
    possible = np.flatnonzero(np.isin(np.ascontiguousarray(starts).view(np.uint64).ravel(), known.starts))
    return any(layer[place : place + LIST] in known.rows for place in possible)


def images_in(layer: bytes) -> Iterator[Floats]:
    """Yield every frame of an image file as grey levels, on white where it is transparent."""
    with suppress(OSError, SyntaxError, ValueError), Image.open(io.BytesIO(layer)) as image:
        for frame in ImageSequence.Iterator(image):
            colours = frame.convert("RGBA")
            white = Image.new("RGBA", colours.size, "white")
            yield np.asarray(Image.alpha_composite(white, colours).convert("L"), dtype=np.float32)


def arrays_in(layer: bytes) -> Iterator[Floats]:
    """Yield arrays of numbers: of .npy (in .npz), of columns of parquet, and of long lists in a text."""
    if layer[:6] == b"\x93NUMPY":
        yield np.load(io.BytesIO(layer), allow_pickle=False)
    elif layer[:4] == b"PAR1":
        import pandas as pd

        yield from _columns(pd.read_parquet(io.BytesIO(layer)))
    else:
        with suppress(UnicodeDecodeError):
            text = layer.decode()
            for match in LISTS.finditer(text):
                yield np.array(re.findall(NUMBER, match[0]), dtype=np.float64)
            yield from _table(text)


def _columns(table: object) -> Iterator[Floats]:
    for _, column in table.items():  # type: ignore[attr-defined]
        if column.dtype.kind in "iuf":
            yield column.to_numpy(dtype=np.float64)
        for cell in column if column.dtype == object else ():
            with suppress(ValueError, TypeError):
                if not isinstance(cell, str | bytes):
                    yield np.asarray(cell, dtype=np.float64)


def _table(text: str) -> Iterator[Floats]:
    lines = text.splitlines()
    if len(lines) > LIST and lines[0].count(",") == lines[-1].count(",") > 0:
        import pandas as pd

        with suppress(ValueError):
            yield from _columns(pd.read_csv(io.StringIO(text)))


def _numbers(array: Floats, known: Pixels) -> Iterator[str]:
    """Compare numbers as a list, and as an image where they have two dimensions or could have."""
    if array.dtype.kind not in "iuf" or array.size < LIST:
        return
    array = np.nan_to_num(np.asarray(array, dtype=np.float32))
    flat = array.ravel()
    parts = unit(flat[: len(flat) // LIST * LIST].reshape(-1, LIST))
    if any((part @ known.lists.T).max(initial=0) > EXACT for part in parts):
        yield f"a list of {flat.size} numbers"
    side = int(flat.size**0.5)
    square = flat.reshape(side, side) if side * side == flat.size else None
    image = array if array.ndim == 2 and min(array.shape) >= 8 else square
    if image is not None and _is_one(image, known):
        yield f"an array of {image.shape}"


def _is_one(image: Floats, known: Pixels) -> bool:
    differing = (perceptual_hash(image) != known.hashes).sum(axis=1)
    # The negative has all bits of the hash inverted.
    return bool(min(differing.min(), (63 - differing).min()) <= SAME) and float(np.std(image)) > 0


def _alike(image: Floats, known: Pixels) -> Iterator[str]:
    if min(image.shape) >= 8 and _is_one(image, known):
        yield f"an image of {image.shape}"
    size = float(SMALLEST)
    while size <= min(image.shape):
        if _thumbnail(image, size, known):
            yield f"a part of an image of {image.shape}"
            return
        size *= STEP


def _thumbnail(image: Floats, size: float, known: Pixels) -> bool:
    """Whether any square part of so many pixels is a known image."""
    rows, columns = (max(SIDE, round(length * SIDE / size)) for length in image.shape)
    small = resized(image, (columns, rows))
    windows = sliding_window_view(small, (SIDE, SIDE))
    for line in windows:  # (columns, SIDE, SIDE): all of them at once would take gigabytes
        parts = line.reshape(len(line), SIDE * SIDE)
        if (np.abs(unit(parts[parts.std(axis=1) > 2]) @ known.thumbnails.T)).max(initial=0) > ALIKE:
            return True
    return False
