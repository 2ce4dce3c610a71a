"""MedMNIST, any of its 2D and 3D sets and sizes, as the package `medmnist` names and checks them."""

from __future__ import annotations

import hashlib
import importlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BadDataError, MachineError, MissingDataError, UsageError
from benchmark.core.files import atomic_write
from benchmark.core.types import Items, Source
from benchmark.images.crop import resample
from benchmark.images.resize import resize_smooth, to_uint8

if TYPE_CHECKING:
    from benchmark.core.types import Array

SIZES = {2: (28, 64, 128, 224), 3: (28, 64)}
"""The published numbers of pixels per side, by dimensions."""
PARTS = ("train", "val", "test")
COLOURS = ("red", "green", "blue")
COLOURED = ("pathmnist", "dermamnist", "retinamnist", "bloodmnist")
NAME = re.compile(r"[a-z]+mnist(3d)?")


@dataclass(frozen=True, kw_only=True)
class MedMnist:
    """Images or volumes of one set, uint8; grey, or red, green and blue.

    Args:
        set: such as pneumoniamnist, chestmnist, organamnist, organmnist3d, nodulemnist3d.
        image_size: side of an item; the smallest published size that is not below it is read and scaled down.
        download: download the file if it is missing, and check it; needs the package `medmnist`.
    """

    set: str = "pneumoniamnist"
    image_size: int = 64
    download: bool = True

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.set):
            raise UsageError(f"{self.set!r} is not the name of a MedMNIST set", "try pneumoniamnist or organmnist3d")
        largest = SIZES[self.dimensions][-1]
        if not 8 <= self.image_size <= largest:
            raise UsageError(
                f"image_size {self.image_size} does not fit {self.set}", f"choose a size from 8 to {largest}"
            )

    @property
    def dimensions(self) -> int:
        """2, or 3 where the name ends with 3d."""
        return 3 if self.set.endswith("3d") else 2

    @property
    def channels(self) -> tuple[str, ...]:
        """One name per channel."""
        return COLOURS if self.set in COLOURED else ("image",)

    @property
    def file_name(self) -> str:
        """The published file: pneumoniamnist.npz for 28 pixels, pneumoniamnist_64.npz ..."""
        size = self._published
        return f"{self.set}.npz" if size == 28 else f"{self.set}_{size}.npz"

    def create(self, root: Path) -> None:
        """Download the file unless it exists, and unpack its arrays next to it, so that they can be memory-mapped.

        Raises MissingDataError without the package, UsageError for an unknown set, BadDataError for a wrong checksum,
        MachineError for network and disk.
        """
        file, folder = root / self.file_name, self._folder(root)
        if folder.is_dir():
            return
        if not file.is_file():
            self._fetch(file)
        with atomic_write(folder) as part:
            part.mkdir()
            _unpack(file, part)

    def sources(self, root: Path) -> Sequence[Source]:
        """List every image as one patient: no set states its patients. Raises BadDataError."""
        folder = self._folder(root)
        sources = []
        for part in PARTS:
            images, labels = (_mapped(str(folder / f"{part}_{what}.npy")) for what in ("images", "labels"))
            self._require(images, folder)
            for number, label in enumerate(labels):
                sources.append(
                    Source(
                        subject=f"{part}{number:06d}",
                        name=f"{part}{number:06d}",
                        files=(str(folder / f"{part}_images.npy"),),
                        label="+".join(str(int(value)) for value in np.atleast_1d(label)),
                        group=part,
                    )
                )
        return sources

    def read(self, source: Source) -> Items:
        """Read one image as (1, C, *spatial), uint8; volumes keep the axes of their file.

        Raises BadDataError for an image of one value: a release has held about 150 empty test volumes.
        """
        number = int(source.name[len(source.group) :])
        pixels = _mapped(source.files[0])[number]
        if pixels.min() == pixels.max():
            raise BadDataError(
                f"image {number} of {source.group} is constant: every pixel is {pixels.flat[0]}",
                f"put another release of {self.file_name} there, or go on without it",
            )
        planes = np.moveaxis(pixels, -1, 0) if len(self.channels) > 1 else pixels[None]
        return Items(pixels=np.stack([self._resized(plane) for plane in planes])[None], names=("",))

    @property
    def _published(self) -> int:
        return next(size for size in SIZES[self.dimensions] if size >= self.image_size)

    def _folder(self, root: Path) -> Path:
        return root / self.file_name.removesuffix(".npz")

    def _require(self, images: Array, folder: Path) -> None:
        shape = (self._published,) * self.dimensions + ((3,) if len(self.channels) > 1 else ())
        if images.shape[1:] != shape or images.dtype != np.uint8:
            raise BadDataError(
                f"{folder} holds {images.dtype} images of shape {images.shape[1:]}, uint8 of {shape} are published",
                f"delete it and {folder}.npz, then run the command again",
            )

    def _resized(self, pixels: Array) -> Array:
        if self.dimensions == 2:
            return to_uint8(resize_smooth(pixels, self.image_size))
        return to_uint8(resample(pixels, (self.image_size,) * 3))

    def _fetch(self, file: Path) -> None:
        facts, size = _facts(self.set), self._published
        flag = "" if size == 28 else f"_{size}"
        if not self.download or f"url{flag}" not in facts:
            raise MissingDataError(
                f"{file} is not on this disk", f"download {file.name} from https://medmnist.com, or set download=true"
            )
        import torch.hub

        try:
            with atomic_write(file) as part:
                torch.hub.download_url_to_file(facts[f"url{flag}"], str(part))
                _require_digest(part, facts[f"MD5{flag}"], file)
        except (OSError, ValueError) as error:
            raise MachineError(
                f"{file.name} could not be downloaded: {error}", f"download it by hand, and put it at {file}"
            ) from error


def _facts(name: str) -> dict[str, Any]:
    try:
        known = importlib.import_module("medmnist.info").INFO
    except ImportError as error:
        raise MissingDataError(
            "medmnist is not installed; it contains the addresses and checksums of the sets",
            "`pip install --no-deps medmnist` (its torchvision is not needed), or put the .npz file there yourself",
        ) from error
    if name not in known:
        raise UsageError(f"there is no MedMNIST set {name!r}", f"choose from {', '.join(known)}")
    return dict(known[name])


def _require_digest(path: Path, expected: str, file: Path) -> None:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "md5").hexdigest()  # what is published; against damage, not forgery
    if digest != expected:
        raise BadDataError(f"{file.name} has the MD5 sum {digest}, {expected} is published", "download it again")


def _unpack(file: Path, folder: Path) -> None:
    names = [f"{part}_{what}.npy" for part in PARTS for what in ("images", "labels")]
    try:
        with zipfile.ZipFile(file) as archive:
            for name in names:
                archive.extract(name, folder)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise BadDataError(
            f"{file} is truncated, damaged or no MedMNIST file", "delete it: it is fetched again"
        ) from error


@lru_cache(maxsize=8)
def _mapped(path: str) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadDataError(f"{path} is truncated or damaged", "delete its folder: it is unpacked again") from error
    return array
