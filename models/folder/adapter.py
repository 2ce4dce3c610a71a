"""Existing images as a model: no training and no network, only files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from benchmark.adapters.external import DESCRIPTION, ExternalModel
from benchmark.core.errors import AdapterError, BadDataError, MissingDataError
from benchmark.core.files import read_json, write_json
from benchmark.core.progress import to_stderr
from benchmark.core.types import to_images
from benchmark.images.readers import READERS, read_image
from benchmark.images.resize import resize_smooth, to_uint8
from benchmark.images.walk import ending_of, walk

from .ranges import Values, scale_of, summary, to_signed

if TYPE_CHECKING:
    from benchmark.core.types import Array, Budget, Images, Split


ARRAYS = (".npy", ".npz", ".h5", ".hdf5")
"""Endings of files that may hold several images."""


@dataclass
class ImageFolder(ExternalModel):
    """All images in a folder and its subfolders, sorted by name; an array file may hold several.

    With as many channels as the cohort, and one scale for all files.

    Args:
        path: of the folder.
        range: the scale of values that are not 8-bit: `signed` [-1, 1], `unit` [0, 1], `levels` [0, 255], `levels16`
            [0, 65535], or `auto`, which asks where two are possible.
    """

    name: ClassVar[str] = "folder"
    range: Literal["auto", "signed", "unit", "levels", "levels16"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._read_images: Array | None = None
        self._summary = ""

    @property
    def _images(self) -> Array:
        if self._read_images is None:
            raise AdapterError("this folder has not been read", "call fit or load first")
        return self._read_images

    def open(self, device: str) -> None:
        """Read all images."""
        self._read_images = self._read_all()

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Read all images, and say on the terminal how many there are and on which scale."""
        super().fit(train, folder=folder, budget=budget, seed=seed, device=device)
        to_stderr(f"{self.name}: {self._summary}")

    def save(self, folder: Path) -> None:
        """Write the options, which name the files, and how these were read."""
        super().save(folder)
        description = read_json(folder / DESCRIPTION)
        write_json(folder / DESCRIPTION, {**description, "images": self._summary})

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
        return self._on_one_scale(files)

    def _on_one_scale(self, files: Sequence[Path]) -> Array:
        """Return the images of all files, (n, C, *spatial), uint8 grey levels or float32 in [-1, 1]."""
        read = [self._read(file) for file in files]
        values = [one for one, _ in read]
        scale = scale_of(values, None if self.range == "auto" else self.range)
        self._summary = summary(values, scale)
        return np.concatenate([to_signed(images, scale) for _, images in read])

    def _read(self, file: Path) -> tuple[Values, Array]:
        """Return the range of a file's values and its images, (n, C, *spatial), as stored."""
        pixels = read_image(file, constant_ok=True).pixels
        if len(self.shape) == 3 and pixels.ndim > 2 and ending_of(file.name) not in ARRAYS:
            raise BadDataError(
                f"{file} holds a volume of shape {pixels.shape}; the cohort's items are images of shape {self.shape}",
                "save each image as .png, or as .npy (rows, columns): of a volume's axes, nothing says which these are",
            )
        low, high, kind = float(pixels.min()), float(pixels.max()), pixels.dtype
        if pixels.ndim == 2 and len(self.shape) == 3 and pixels.shape != self.shape[1:]:
            pixels = self._resized(pixels, file)
        if not self._fits(pixels):
            raise BadDataError(
                f"{file} holds an array of shape {pixels.shape}; the cohort's items are {self.shape}",
                "save images of that shape (channels first), or prepare the cohort with another --image-size",
            )
        # A copy: the pixels may be mapped, and a process can hold few files open.
        images = np.array(pixels, np.float32 if kind.kind == "f" else kind).reshape(-1, *self.shape)
        flat = images.reshape(len(images), -1)
        constant = int((flat.min(axis=1) == flat.max(axis=1)).sum())
        return Values(file, kind, low, high, len(images), constant), images

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
        return to_uint8(small) if plane.dtype == np.uint8 else small if plane.dtype.kind == "f" else np.rint(small)
