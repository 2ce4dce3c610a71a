"""What data sets of radiographs share: one plane a file, one channel, resized to a square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Items, Source
from benchmark.images.crop import without_border
from benchmark.images.readers import NaN, read_image
from benchmark.images.readers.image import remarks_on
from benchmark.images.resize import pad_to, resize_smooth, to_uint8
from benchmark.images.windowing import grey, limits, require_window

if TYPE_CHECKING:
    from benchmark.core.types import Array

Fit = Literal["squash", "pad", "fill"]


@dataclass(frozen=True, kw_only=True)
class Radiographs:
    """Grey radiographs, one channel, uint8. Subclasses list the files.

    Args:
        image_size: side of an item in pixels.
        window: which values become black and white, see `intensity.limits`: 8-bit levels stay as they are by default.
        fit: `squash` resizes both sides, so that aspect is not kept: padding would give each image black borders as
            wide as its own aspect asks, which tell images apart better than the anatomy does. `pad` keeps aspect.
            `fill` cuts off black borders, then squashes: images that a model has padded are comparable.
        nan: what NaN means in a file of floats: `refuse` it, or `background`, the least finite value of the file.
    """

    image_size: int = 256
    window: str = "auto"
    fit: Fit = "squash"
    nan: NaN = "refuse"

    channels: ClassVar[tuple[str, ...]] = ("xray",)

    def __post_init__(self) -> None:
        require_window(self.window)
        if not 8 <= self.image_size <= 2048:
            raise UsageError(f"image_size {self.image_size} does not fit a radiograph", "choose a size from 8 to 2048")

    def read(self, source: Source) -> Items:
        """Read one image as (1, 1, image_size, image_size), uint8. Raises BadDataError naming the file."""
        image = read_image(source.files[0], nan=self.nan)
        if image.pixels.ndim != 2:
            raise BadDataError(
                f"{source.files[0]} holds an array of shape {image.pixels.shape}, one plane is needed",
                "give one image per file",
            )
        pixels = square(image.pixels, self.image_size, self.window, self.fit, source.files[0])
        return Items(pixels=pixels[None, None], names=("",), remarks=remarks_on([image], source.name))


def square(plane: Array, side: int, window: str, fit: Fit, file: str) -> Array:
    """Return one plane (rows, columns) as (side, side), uint8. Raises BadDataError as `intensity.limits`."""
    low, high = limits(plane, window, file)
    levels = np.clip(grey(plane, low, high), 0, 255)
    if fit == "fill":
        levels = without_border(levels)
    if fit == "pad":
        levels = pad_to(levels, (max(levels.shape),) * 2)
    return to_uint8(resize_smooth(levels, side))
