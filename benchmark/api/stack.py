"""Images of one shape as one array (N, C, *spatial), and back to the axes that the user gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.arrays import as_array, axes_of, letters_of
from benchmark.api.images import entries_of, image_of, is_file, is_folder, with_first
from benchmark.core.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from benchmark.core.types import Array


@dataclass(frozen=True)
class Stack:
    """Images of one shape."""

    pixels: Array
    """(N, C, *spatial)."""
    letters: str
    """Axes of one image as it was given."""

    def as_given(self, pixels: Array) -> Array:
        """Return images (n, C, *spatial) with the axes as they were given."""
        inner = pixels if "C" in self.letters else pixels[:, 0]
        ordered = [letter for letter in "CDHW" if letter in self.letters]
        return np.ascontiguousarray(inner.transpose(0, *(1 + ordered.index(letter) for letter in self.letters)))


def stacked(given: Any, name: str, *, layout: str | None = None, key: str = "image", finite: bool = True) -> Stack:
    """Return images in memory as one array. Arguments and errors as `audit`; all images have one shape.

    With `finite=False`, NaN and infinite values are kept for the caller to tell of.

    Raises UsageError for folders and files, and BadDataError for images of several shapes or with NaN or infinities.
    """
    if is_folder(given, name):
        raise UsageError(f"{name} is a folder, and images in memory are needed", "use audit for folders")
    whole = given if hasattr(given, "ndim") and len(getattr(given, "shape", ())) > 2 else None
    array = as_array(whole, name) if whole is not None else _stack(given, name, key)
    if not len(array):
        raise UsageError(f"{name} holds no images", "give at least one")
    letters = axes_of(array.shape[1:], letters_of(layout), f"{name}[0]")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadDataError(f"{name} holds NaN or infinite values", "replace them, or leave those images out")
    ordered = array.transpose(0, *(1 + letters.index(letter) for letter in "CDHW" if letter in letters))
    return Stack(ordered if "C" in letters else ordered[:, None], letters)


def _stack(given: Any, name: str, key: str) -> Array:
    first, entries = with_first(entries_of(given, name), name)
    if is_file(first):
        raise UsageError(f"{name} is a list of files, and images in memory are needed", "use audit for files")
    images = [as_array(image_of(entry, key, f"{name}[{at}]"), f"{name}[{at}]") for at, entry in enumerate(entries)]
    odd = next((at for at, image in enumerate(images) if image.shape != images[0].shape), None)
    if odd is not None:
        raise BadDataError(
            f"{name}[{odd}] has shape {images[odd].shape}, and {name}[0] has {images[0].shape}",
            "resize them to one shape",
        )
    return np.stack(images)
