"""`memobench.plant`: copies of images with known transformations, to see what an audit would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.ranges import Range, Values, require_inside, stated_ranges
from benchmark.api.stack import stacked
from benchmark.core.errors import UsageError
from benchmark.core.options import suggest
from benchmark.core.types import to_images, to_pixels

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.core.types import Array, Images


@dataclass(frozen=True)
class Planted:
    """Copies of images, and what was done to each."""

    images: Array
    """n copies, axes, type and range as of the images that were given."""
    table: pd.DataFrame
    """One row per copy: index (among the copies), source (the number of the image), transform."""


def plant(
    images: Any,
    *,
    count: int | None = None,
    share: float | None = None,
    transforms: Sequence[str] = ("exact", "flip", "rotate5", "shift", "crop", "contrast", "blur", "noise"),
    seed: int = 0,
    value_range: tuple[float, float] | None = None,
    layout: str | None = None,
    key: str = "image",
) -> Planted:
    """Return altered copies of images drawn at random, each of another image.

    Args:
        images: in memory as `audit` takes them, all of one shape.
        count: copies to make.
        share: instead of `count`: copies to make, as a share of the images that were given, above 0 and at most 1.
        transforms: used in turn: exact, flip, rotate5, rotate15, shift, crop, contrast, blur, noise, resample, deform,
            recode (docs/detectors.md).
        seed: draws the images.
        value_range: the values that are black and white; needed unless the images are uint8.
        layout: the axes, where their sizes leave a doubt.
        key: what holds the image in entries that are dicts.

    Raises UsageError and BadDataError as `audit`.
    """
    import pandas as pd
    import torch

    from benchmark.images.planted_copies import PLANTED

    for name in transforms:
        if name not in PLANTED:
            raise UsageError(
                f"there is no transform {name!r}", f"{suggest(name, PLANTED)}choose from {', '.join(PLANTED)}"
            )
    stack = stacked(images, "images", layout=layout, key=key)
    kind = stack.pixels.dtype
    ends = _range(stack.pixels, value_range)
    number = _count(len(stack.pixels), count, share)
    sources = np.random.default_rng(seed).permutation(len(stack.pixels))[:number]
    names = [transforms[place % len(transforms)] for place in range(number)]
    given = _to_images(stack.pixels[sources], ends)
    copies = np.empty_like(given)
    for name in dict.fromkeys(names):
        which = np.array([place for place, other in enumerate(names) if other == name])
        copies[which] = PLANTED[name](torch.from_numpy(given[which])).numpy()
    table = pd.DataFrame({"index": np.arange(number), "source": sources, "transform": names})
    return Planted(stack.as_given(_from_images(copies, ends, kind)), table)


def _range(pixels: Array, value_range: Any) -> Range | None:
    """Return the range of images that are not uint8. Raises UsageError where it is not stated, or not theirs."""
    if pixels.dtype == np.uint8:
        return None
    if value_range is None:
        raise UsageError(
            f"images are {pixels.dtype}, and what is done to them depends on which values are black and white",
            "state it: value_range=(LOW, HIGH)",
        )
    ends = stated_ranges(value_range, {"images": pixels.dtype.name})["images"]
    values = Values(ends)
    values.add(pixels)
    require_inside({"images": values})
    return ends


def _count(images: int, count: int | None, share: float | None) -> int:
    if (count is None) == (share is None):
        raise UsageError("count= or share= says how many copies are made", "give one of them")
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"share={share:g} is no share of images", "give more than 0 and at most 1")
    number = count if count is not None else max(1, round((share or 0) * images))
    if not 1 <= number <= images:
        raise UsageError(
            f"{number} copies of {images} images were asked for", f"give 1 to {images}: each is of another"
        )
    return number


def _to_images(pixels: Array, ends: Range | None) -> Images:
    """Map (n, C, *spatial) from their range to float32 in [-1, 1]."""
    if ends is None:
        return to_images(np.ascontiguousarray(pixels))
    low, high = ends
    images: Images = ((pixels.astype(np.float64) - low) / (high - low) * 2 - 1).clip(-1, 1).astype(np.float32)
    return images


def _from_images(images: Images, ends: Range | None, kind: Any) -> Array:
    if ends is None:
        return to_pixels(images, "uint8")
    low, high = ends
    values = (images.clip(-1, 1).astype(np.float64) + 1) / 2 * (high - low) + low
    return values.round().astype(kind) if np.dtype(kind).kind in "iu" else values.astype(kind)
