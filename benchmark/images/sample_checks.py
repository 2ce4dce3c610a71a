"""Samples of a model are checked as they come: number, type, shape, finite values, range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import AdapterError

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

TOLERANCE = 0.01
"""How far a value may be outside [-1, 1] by rounding or interpolation; uint8 storage clips it."""
EXACTLY = "sample() must yield exactly `count` images shaped like training"


def taken(batches: Iterable[Images], part: slice, shape: tuple[int, ...], name: str) -> Images:
    """Return the samples that `part` numbers, (n, C, *spatial), from the batches of a model; further ones are not read.

    A model whose batches never end is therefore no harm.

    Args:
        batches: (n, C, *spatial) each, an iterator or a list.
        part: numbers of the samples in the run, for messages.
        shape: of an item, (C, *spatial).
        name: of the model, for messages.

    Raises AdapterError for too few images, another shape, a type that is no floating-point number, and values that are
    not finite or outside [-1, 1].
    """
    drawn: list[Images] = []
    count, missing = 0, part.stop - part.start
    for batch in batches:
        images = np.atleast_1d(batch)[: missing - count]
        if not len(images):
            raise AdapterError(f"{name} returned a batch without samples", EXACTLY)
        check_samples(images, slice(part.start + count, part.start + count + len(images)), shape, name)
        drawn.append(images)
        count += len(images)
        if count == missing:
            return np.concatenate(drawn)
    raise AdapterError(f"{name} returned {count} samples where {missing} were asked for", EXACTLY)


def check_samples(images: Array, part: slice, shape: tuple[int, ...], name: str) -> None:
    """Raise AdapterError unless images are as many as `part` numbers, of shape (C, *spatial), finite, in [-1, 1]."""
    wanted = (part.stop - part.start, *shape)
    if images.shape != wanted:
        raise AdapterError(f"{name} returned samples of shape {images.shape} where {wanted} were asked for", EXACTLY)
    if images.dtype.kind != "f":
        raise AdapterError(
            f"{name} returned samples of type {images.dtype}",
            "return float32 in [-1, 1]: for grey levels x / 127.5 - 1",
        )
    finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if not finite.all():
        raise AdapterError(
            f"{name}: sample {part.start + int(np.flatnonzero(~finite)[0])} is not finite",
            "the model diverged (train it with a lower learning rate, or in fp32), or its autoencoder overflows in "
            "fp16 (use its weights in fp32)",
        )
    reach = float(np.abs(images).max()) if images.size else 0.0
    if reach > 1 + TOLERANCE:
        raise AdapterError(f"{name} returned values up to {reach:.3g}, outside [-1, 1]", "clamp or rescale in sample()")
