"""A user's own planes, saved by numpy: one file a patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.cohorts.grid import resize_smooth, to_uint8
from benchmark.contracts import Items, Source
from benchmark.errors import BadDataError, MissingDataError, UsageError
from benchmark.readers import read_image

if TYPE_CHECKING:
    from benchmark.contracts import Array

ENDINGS = (".npz", ".npy")


@dataclass(frozen=True)
class Arrays:
    """Planes of one channel, uint8.

    Args:
        image_size: side of an item in pixels.
        low: the value that becomes black; needed, with `high`, for files that are not uint8.
        high: the value that becomes white.
    """

    image_size: int = 64
    low: float | None = None
    high: float | None = None

    channels: ClassVar[tuple[str, ...]] = ("image",)

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 2048:
            raise UsageError(f"image_size {self.image_size} does not fit an image", "choose a size from 8 to 2048")
        given = [end for end in (self.low, self.high) if end is not None]
        if len(given) == 1 or (len(given) == 2 and given[0] >= given[1]):
            raise UsageError(f"low {self.low} and high {self.high} are no window", "give both, low below high")

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/*.npz and root/*.npy, one subject a file. Raises MissingDataError."""
        files = sorted(file for file in root.glob("*") if file.suffix in ENDINGS and not file.name.startswith("."))
        if not files:
            raise MissingDataError(
                f"{root} holds no arrays: no file *.npz or *.npy", "save each patient's planes with numpy.save"
            )
        return [Source(subject=file.stem, name=file.stem, files=(str(file),)) for file in files]

    def read(self, source: Source) -> Items:
        """Read one file as (n, 1, image_size, image_size), uint8. Raises BadDataError naming the file."""
        planes = read_image(source.files[0]).pixels
        if planes.ndim not in (2, 3):
            raise BadDataError(
                f"{source.files[0]} holds an array of shape {planes.shape}", "save planes as (n, rows, columns)"
            )
        grey = self._grey(planes.reshape(-1, *planes.shape[-2:]), source.files[0])
        pixels = np.stack([to_uint8(resize_smooth(plane, self.image_size)) for plane in grey])
        return Items(pixels=pixels[:, None], names=tuple(f"{number:05d}" for number in range(len(pixels))))

    def _grey(self, planes: Array, file: str) -> Array:
        if self.low is not None and self.high is not None:
            levels: Array = (planes.astype(np.float32) - self.low) / (self.high - self.low) * 255
            return levels.clip(0, 255)
        if planes.dtype != np.uint8:
            raise BadDataError(
                f"{file} holds {planes.dtype} values, and no window to make grey levels of them",
                "give one: --set-data low=-1000 --set-data high=400",
            )
        return planes
