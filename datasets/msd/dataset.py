"""Volumes of the Medical Segmentation Decathlon, or of any folder laid out as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.cohorts.grid import block_mean, crop_to, pad_to, to_uint8
from benchmark.contracts import Items, Source
from benchmark.errors import BadDataError, MissingDataError, UsageError
from benchmark.readers import read_image

if TYPE_CHECKING:
    from benchmark.contracts import Array

FOLDERS = ("imagesTr", "images")
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Msd:
    """3D volumes, one channel, uint8, cut to a cube.

    Args:
        image_size: side of the cube in voxels.
    """

    image_size: int = 32

    channels: ClassVar[tuple[str, ...]] = ("image",)

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 256:
            raise UsageError(f"image_size {self.image_size} does not fit a volume", "choose a size from 8 to 256")

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/imagesTr/*.nii.gz (or images/), one subject a file. Raises MissingDataError."""
        folder = next((root / name for name in FOLDERS if (root / name).is_dir()), root)
        files = [file for file in sorted(folder.glob("*.nii*")) if not file.name.startswith(".")]
        if not files:
            raise MissingDataError(
                f"{root} holds no volumes: no file imagesTr/*.nii.gz",
                "give the folder of one task, such as Task04_Hippocampus",
            )
        return [Source(subject=_stem(file), name=_stem(file), files=(str(file),)) for file in files]

    def read(self, source: Source) -> Items:
        """Read one volume as (1, 1, image_size, image_size, image_size), uint8, axes x, y, z in RAS+.

        Raises BadDataError naming the file.
        """
        image = read_image(source.files[0])
        factor = max(1, max(image.pixels.shape) // self.image_size)
        volume = block_mean(image.pixels, factor)
        cube = (self.image_size,) * 3
        pixels = crop_to(pad_to(_grey(volume, source.files[0]), cube), cube)
        spacing = tuple(round(size * factor, 6) for size in image.spacing_mm)
        return Items(pixels=np.ascontiguousarray(pixels)[None, None], names=("",), spacing_mm=spacing)


def _grey(volume: Array, file: str) -> Array:
    low, high = np.percentile(volume, PERCENTILES)
    if low >= high:
        raise BadDataError(
            f"{file} is constant between its percentiles {PERCENTILES[0]} and {PERCENTILES[1]}",
            "crop it closer to the organ, or leave it out",
        )
    return to_uint8((volume - low) / (high - low) * 255)


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".nii")
