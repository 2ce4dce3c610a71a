"""What data sets of volumes share: slices, tiles, whole volumes or patches, by one list of options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Items, Source
from benchmark.images.crop import (
    LETTER,
    ORDER,
    Axis,
    around,
    centred,
    corners,
    planes,
    resample,
    seen_at,
    without_border,
)
from benchmark.images.readers import Image, NaN, read_image
from benchmark.images.readers.image import remarks_on
from benchmark.images.resize import block_mean, to_uint8
from benchmark.images.windowing import grey, limits, require_window

if TYPE_CHECKING:
    from benchmark.core.types import Array

Piece = tuple[str, "Array"]
MID_GREY = 127.5
LARGEST = {2: 2048, 3: 256}
"""Pixels a side, by dimensions."""


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """Items cut from volumes, one channel, uint8. Subclasses list the files and choose defaults.

    Args:
        image_size: side of an item in pixels or voxels.
        items: `slices` and `tiles` (squares of slices) are 2D, `volumes` and `patches` (cubes) 3D.
        axis: of slices and tiles.
        window: which values become black and white, see `intensity.limits`.
        fit: of slices and volumes: `all` shrinks until nothing is cut off; `centre` averages over whole voxels (by the
            longest side), then cuts around the centre; both pad. `fill` stretches what is not background over the
            whole item: proportions are lost, and volumes that a model has padded or resized are comparable.
        spacing: mm between pixels, instead of `fit`; the centre is cut out of what is larger. 0 for none: tiles and
            patches then keep the file's own.
        band: first and last share of the slices that are used, from feet to head, back to front, left to right.
        content: a slice, tile or patch is kept where more than this share of it is above `threshold`.
        threshold: grey level, 0 to 255.
        depth: slices of a whole volume along `axis`, neither shrunk nor averaged; 0 makes cubes.
        stride: pixels between tiles or patches; 0 for image_size.
        padding: `background`, the darkest value of the volume (air), as if padded before scaling; `mid-grey`, 0 of
            [-1, 1], as Dar et al. pad after scaling.
        nan: what NaN means in a file of floats: `refuse` it, or `background`, the least finite value of the file.
        part: which volume of a 4D NIfTI file, from 0; -1 refuses such files.
    """

    image_size: int = 128
    items: Literal["slices", "tiles", "volumes", "patches"] = "slices"
    axis: Axis = "axial"
    window: str = "auto"
    fit: Literal["all", "centre", "fill"] = "all"
    spacing: float = 0.0
    band: tuple[float, float] = (0.0, 1.0)
    content: float = 0.0
    threshold: float = 50.0
    depth: int = 0
    stride: int = 0
    padding: Literal["background", "mid-grey"] = "background"
    nan: NaN = "refuse"
    part: int = -1

    channels: ClassVar[tuple[str, ...]] = ("image",)

    def __post_init__(self) -> None:
        require_window(self.window)
        largest = LARGEST[self.dimensions]
        if not 8 <= self.image_size <= largest:
            what = "an image" if self.dimensions == 2 else "a volume"
            raise UsageError(f"image_size {self.image_size} does not fit {what}", f"choose a size from 8 to {largest}")
        if not 0 <= self.band[0] < self.band[1] <= 1:
            raise UsageError(f"band {self.band[0]:g},{self.band[1]:g} is no part of a volume", "choose such as 0.2,0.8")
        if min(self.spacing, self.depth, self.stride) < 0 or not 0 <= self.content < 1:
            raise UsageError("spacing, depth, stride and content cannot be negative, content is below 1", "correct it")

    @property
    def dimensions(self) -> int:
        """2 for slices and tiles, 3 for volumes and patches."""
        return 2 if self.items in ("slices", "tiles") else 3

    def read(self, source: Source) -> Items:
        """Read one source as (n, 1, *spatial), uint8: volumes keep x, y, z in RAS+, slices are seen as by radiologists.

        Raises BadDataError naming the file.
        """
        return self.gridded(self.load(source), source)

    def load(self, source: Source) -> Sequence[Image]:
        """Return the volumes of a source; all of one series, mostly one."""
        part = None if self.part < 0 else self.part
        return [require_volume(read_image(source.files[0], nan=self.nan, part=part), source.files[0])]

    def gridded(self, images: Sequence[Image], source: Source) -> Items:
        """Cut all volumes of a source into its items."""
        names: list[str] = []
        pixels: list[Array] = []
        for number, image in enumerate(images):
            for name, piece in self.pieces(image, source):
                names.append("_".join(part for part in (f"s{number + 1}" * (len(images) > 1), name) if part))
                pixels.append(to_uint8(piece))
        shape = (self.image_size,) * self.dimensions
        return Items(
            pixels=np.stack(pixels)[:, None] if pixels else np.empty((0, 1, *shape), np.uint8),
            names=tuple(names),
            spacing_mm=self.step(images[0]),
            orientation=images[0].orientation,
            remarks=remarks_on(images, source.name),
        )

    def centres(self, source: Source, image: Image) -> Array | None:
        """Return the points (n, 3), voxels of the image, around which tiles or patches are cut; none for a grid."""
        return None

    def pieces(self, image: Image, source: Source) -> Iterator[Piece]:
        """Yield name and grey levels of each item of a volume, not yet rounded."""
        if self._fills:
            image = replace(image, pixels=without_border(image.pixels))
        small = self._resized(image)
        # Percentiles of what will be seen: of the file they are slower, and moved by noise.
        eight_bit = image.pixels.dtype == np.uint8
        averaged = self.window == "percentiles" or (self.window == "auto" and not eight_bit)
        low, high = limits(small if averaged else image.pixels, self.window, source.files[0])
        levels = np.clip(grey(small, low, high), 0, 255)
        fill = MID_GREY if self.padding == "mid-grey" else _level(float(image.pixels.min()), low, high)
        for name, piece in self._cut(levels, fill, self._centres(source, image, small.shape)):
            if not self.content or (piece > self.threshold).mean() > self.content:
                yield name, piece

    def _cut(self, volume: Array, fill: float, centres: Array | None) -> Iterator[Piece]:
        if self.items == "volumes":
            shape = [self.image_size] * 3
            shape[ORDER[self.axis][0]] = self.depth or self.image_size
            yield "", centred(volume, tuple(shape), fill)
        elif self.items == "slices":
            for name, plane in self._planes(volume):
                yield name, centred(plane, (self.image_size,) * 2, fill)
        elif centres is not None:
            yield from self._around(volume, fill, centres)
        else:
            yield from self._tiles(volume) if self.items == "tiles" else self._patches(volume)

    def _around(self, volume: Array, fill: float, centres: Array) -> Iterator[Piece]:
        seen = planes(volume, self.axis)
        for number, centre in enumerate(centres):
            if self.items == "patches":
                piece = around(volume, centre, self.image_size, fill)
            else:
                at, row, column = seen_at(centre, volume.shape, self.axis)
                plane = seen[int(np.clip(round(at), 0, len(seen) - 1))]
                piece = around(plane, (row, column), self.image_size, fill)
            yield f"p{number:05d}", piece

    def _centres(self, source: Source, image: Image, shape: tuple[int, ...]) -> Array | None:
        """Return `centres` in voxels of the resized volume."""
        points = self.centres(source, image) if self._pieces else None
        return None if points is None else (points + 0.5) * np.divide(shape, image.pixels.shape) - 0.5

    def step(self, image: Image) -> tuple[float, ...]:
        """Return mm between neighbours of an item, one an axis; empty where unknown."""
        extents, shape = image.pixels.shape, self._resized_shape(image)
        sizes = [size * before / after for size, before, after in zip(image.spacing_mm, extents, shape, strict=False)]
        if self._averages:
            sizes = [size * factor for size, factor in zip(image.spacing_mm, self._factors(image), strict=False)]
        order = ORDER[self.axis][1:] if self.dimensions == 2 else (0, 1, 2)
        return tuple(round(sizes[axis], 6) for axis in order) if sizes else ()

    def _tiles(self, volume: Array) -> Iterator[Piece]:
        for name, plane in self._planes(volume):
            for row, column in corners(plane.shape, self.image_size, self.stride or self.image_size):
                tile = plane[row : row + self.image_size, column : column + self.image_size]
                yield f"{name}_r{row:03d}_c{column:03d}", tile

    def _patches(self, volume: Array) -> Iterator[Piece]:
        for corner in corners(volume.shape, self.image_size, self.stride or self.image_size):
            name = "_".join(f"{letter}{start:03d}" for letter, start in zip("xyz", corner, strict=True))
            yield name, volume[tuple(slice(start, start + self.image_size) for start in corner)]

    def _planes(self, volume: Array) -> Iterator[Piece]:
        """Yield each slice of the band, numbered from the feet, the back or the left."""
        seen = planes(volume, self.axis)
        for number in range(int(self.band[0] * len(seen)), int(np.ceil(self.band[1] * len(seen)))):
            yield f"{LETTER[self.axis]}{number:03d}", seen[number]

    @property
    def _pieces(self) -> bool:
        return self.items in ("tiles", "patches")

    @property
    def _averages(self) -> bool:
        return self.fit == "centre" and not self.spacing and not self._pieces

    @property
    def _fills(self) -> bool:
        return self.fit == "fill" and not self.spacing and not self._pieces

    def _resized(self, image: Image) -> Array:
        if self._averages:
            return block_mean(image.pixels, self._factors(image))
        return resample(image.pixels, self._resized_shape(image))

    def _sized(self) -> list[int]:
        """Return the axes of x, y, z that image_size is about: two of slices and of volumes with a depth."""
        two = self.dimensions == 2 or (self.depth and self.items == "volumes")
        return sorted(ORDER[self.axis][1:]) if two else [0, 1, 2]

    def _factors(self, image: Image) -> tuple[int, ...]:
        longest = max(image.pixels.shape[axis] for axis in self._sized())
        factor = max(1, longest // self.image_size)
        return tuple(factor if axis in self._sized() else 1 for axis in range(3))

    def _resized_shape(self, image: Image) -> tuple[int, ...]:
        """Return the size to which a volume is resampled before it is padded and cut."""
        extents, sizes, sized = image.pixels.shape, image.spacing_mm or (1.0,) * 3, self._sized()
        if self._pieces and not self.spacing:
            return extents
        if self._fills:
            return tuple(self.image_size if axis in sized else extents[axis] for axis in range(3))
        finest = max(sizes[axis] for axis in sized)
        step = self.spacing or max(finest, *(extents[axis] * sizes[axis] / self.image_size for axis in sized))
        return tuple(
            max(1, round(extents[axis] * sizes[axis] / step)) if axis in sized else extents[axis] for axis in range(3)
        )


def _level(value: float, low: float, high: float) -> float:
    """Return the grey level of one value, 0 to 255."""
    return float(np.clip((value - low) / (high - low), 0, 1) * 255)


def require_volume(image: Image, file: str) -> Image:
    """Return the image, or raise BadDataError where it is not 3D."""
    if image.pixels.ndim != 3:
        raise BadDataError(
            f"{file} holds an array of shape {image.pixels.shape}, one 3D volume is needed",
            "give volumes, one a file or one a DICOM folder",
        )
    return image


def stem(file: str | Path) -> str:
    """Return a file's name without its ending; `.nii.gz` counts as one."""
    name = Path(file).name
    return name.removesuffix(".gz").removesuffix(".nii") if name.endswith(".nii.gz") else Path(name).stem
