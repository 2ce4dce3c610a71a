"""Existing images as a model: no training and no network, only files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.adapters.external import ExternalModel
from benchmark.core.errors import AdapterError, BadDataError, MissingDataError
from benchmark.core.types import to_images
from benchmark.images.readers import READERS, read_image
from benchmark.images.resize import resize_smooth, to_uint8
from benchmark.images.walk import ending_of, walk

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images


@dataclass
class ImageFolder(ExternalModel):
    """All images in a folder and its subfolders, sorted by name; an array file may hold several.

    8-bit grey levels, or floats in [-1, 1], with as many channels as the cohort.
    """

    name: ClassVar[str] = "folder"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read_images: Array | None = None

    @property
    def _images(self) -> Array:
        if self._read_images is None:
            raise AdapterError("this folder has not been read", "call fit or load first")
        return self._read_images

    def open(self, device: str) -> None:
        """Read all images."""
        self._read_images = self._read_all()

    def available(self) -> int:
        """Return how many images there are."""
        return len(self._images)

    def numbered(self, part: slice) -> Iterator[Images]:
        """Yield the images with these numbers, (n, C, *spatial)."""
        yield to_images(self._images[part])

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count of the images, (count, C, *spatial), drawn without replacement where there are enough."""
        self.refuse_prompts(prompts)
        order = np.random.default_rng(seed).choice(len(self._images), count, replace=count > len(self._images))
        yield to_images(self._images[order])

    def _read_all(self) -> Array:
        place = Path(self.path)
        if not place.is_dir():
            raise MissingDataError(f"there is no folder {place}", "give the folder of the images: --set path=DIR")
        listed = walk(place)
        listed.require_readable()
        # Each file once: samples are compared without replacement, and a second link is no second sample.
        files = [listed.path(name) for name in listed.files if ending_of(name) in READERS and name not in listed.same]
        if not files:
            skipped = "".join(f"; {what}" for what in listed.remarks())
            raise MissingDataError(
                f"{place} holds no image{skipped}", f"put files there that end in {', '.join(READERS)}"
            )
        return np.concatenate([self._read(file) for file in files])

    def _read(self, file: Path) -> Array:
        """Return the images of a file, (n, C, *spatial), uint8 grey levels or float32."""
        pixels = read_image(file, constant_ok=True).pixels
        if pixels.dtype != np.uint8 and (pixels.dtype.kind != "f" or np.abs(pixels).max() > 1):
            raise BadDataError(
                f"{file} holds {pixels.dtype} values from {pixels.min():g} to {pixels.max():g}",
                "save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained",
            )
        if pixels.ndim == 2 and len(self.shape) == 3 and pixels.shape != self.shape[1:]:
            pixels = self._resized(pixels, file)
        items = pixels.reshape(-1, *self.shape) if self._fits(pixels) else None
        if items is None:
            raise BadDataError(
                f"{file} holds an array of shape {pixels.shape}; the cohort's items are {self.shape}",
                "save images of that shape (channels first), or prepare the cohort with another --image-size",
            )
        return items if items.dtype == np.uint8 else items.astype(np.float32)

    def _fits(self, pixels: Array) -> bool:
        one = self.shape[1:] if self.shape[0] == 1 else self.shape
        return pixels.shape in (one, self.shape) or pixels.shape[1:] in (one, self.shape)

    def _resized(self, plane: Array, file: Path) -> Array:
        """Resize a plane (H, W) to the cohort's image size as the readers of X-rays do."""
        height, width = self.shape[1:]
        if height != width:
            raise BadDataError(
                f"{file} has {plane.shape[0]} x {plane.shape[1]} pixels, the cohort {height} x {width}",
                "save images of the cohort's size",
            )
        small = resize_smooth(plane.astype(np.float32), height)
        return to_uint8(small) if plane.dtype == np.uint8 else small
