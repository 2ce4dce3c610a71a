"""Images that somebody made already: no training, no network, only files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.cohorts.grid import resize_smooth, to_uint8
from benchmark.contracts import Budget, Split, to_images
from benchmark.errors import AdapterError, BadDataError, MissingDataError, UsageError
from benchmark.readers import READERS, read_image, suffix
from benchmark.storage import files_key, read_json, write_json

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images

OPTIONS = "folder.json"


@dataclass
class ImageFolder:
    """Every image under a folder, in the order of names; an array file may hold several."""

    path: str
    """Grey levels of 8 bits, or floats in [-1, 1]; as many channels as the cohort has."""

    def __post_init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._images: Array | None = None

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Learn nothing of the split but the shape of its items; read all images."""
        if not len(train):
            raise UsageError("there are no items to compare with", "give a training split that is not empty")
        self._shape = train.shape
        self._images = self._read_all()

    def fingerprint(self) -> str:
        """Return a digest that changes with the files."""
        return files_key(Path(self.path)) if Path(self.path).is_dir() else ""

    def available(self) -> int:
        """Return how many images there are."""
        return len(self._found())

    def numbered(self, part: slice) -> Iterator[Images]:
        """Yield the images with these numbers."""
        yield to_images(self._found()[part])

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count of the images, drawn without replacement while there are enough."""
        if prompts is not None:
            raise UsageError("folder takes no prompts", "leave them out, or choose a text-to-image model")
        found = self._found()
        order = np.random.default_rng(seed).choice(len(found), count, replace=count > len(found))
        yield to_images(found[order])

    def save(self, folder: Path) -> None:
        """Write where the images are."""
        self._found()
        write_json(folder / OPTIONS, {"options": asdict(self), "shape": list(self._shape)})

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Read the images again."""
        saved = read_json(folder / OPTIONS)
        adapter = cls(**saved["options"])
        adapter._shape = tuple(saved["shape"])
        adapter._images = adapter._read_all()
        return adapter

    def _found(self) -> Array:
        if self._images is None:
            raise AdapterError("this folder has not been read", "call fit or load first")
        return self._images

    def _read_all(self) -> Array:
        place = Path(self.path)
        if not place.is_dir():
            raise MissingDataError(f"there is no folder {place}", "give the folder of the images: --set path=DIR")
        files = sorted(file for file in place.rglob("*") if file.is_file() and suffix(file) in READERS)
        if not files:
            raise MissingDataError(f"{place} holds no image", f"put files there that end in {', '.join(READERS)}")
        return np.concatenate([self._read(file) for file in files])

    def _read(self, file: Path) -> Array:
        """Return the images of a file, (n, C, *spatial), as grey levels or floats."""
        pixels = read_image(file, constant_ok=True).pixels
        if pixels.dtype != np.uint8 and (pixels.dtype.kind != "f" or np.abs(pixels).max() > 1):
            raise BadDataError(
                f"{file} holds {pixels.dtype} values from {pixels.min():g} to {pixels.max():g}",
                "save 8-bit grey levels, or floats scaled to [-1, 1] as the model was trained",
            )
        if pixels.ndim == 2 and len(self._shape) == 3 and pixels.shape != self._shape[1:]:
            pixels = self._resized(pixels, file)
        items = pixels.reshape(-1, *self._shape) if self._fits(pixels) else None
        if items is None:
            raise BadDataError(
                f"{file} holds an array of shape {pixels.shape}; the cohort's items are {self._shape}",
                "save images of that shape (channels first), or prepare the cohort with another --image-size",
            )
        return items if items.dtype == np.uint8 else items.astype(np.float32)

    def _fits(self, pixels: Array) -> bool:
        one = self._shape[1:] if self._shape[0] == 1 else self._shape
        return pixels.shape in (one, self._shape) or pixels.shape[1:] in (one, self._shape)

    def _resized(self, plane: Array, file: Path) -> Array:
        """Bring a plane to the cohort's grid as the readers of X-rays do."""
        height, width = self._shape[1:]
        if height != width:
            raise BadDataError(
                f"{file} has {plane.shape[0]} x {plane.shape[1]} pixels, the cohort {height} x {width}",
                "save images of the cohort's size",
            )
        small = resize_smooth(plane.astype(np.float32), height)
        return to_uint8(small) if plane.dtype == np.uint8 else small
