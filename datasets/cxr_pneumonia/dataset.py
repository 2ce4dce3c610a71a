"""Paediatric chest X-rays of the Kermany pneumonia set, in the folders that Kaggle publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmark.cohorts.grid import resize_smooth, to_uint8
from benchmark.contracts import Items, Source
from benchmark.errors import BadDataError, MissingDataError, UsageError
from benchmark.readers import read_image

if TYPE_CHECKING:
    from benchmark.contracts import Array

CLASSES = ("NORMAL", "PNEUMONIA")
GROUPS = ("train", "val", "test")
NUMBERED_WITH = {"train": "train+val", "val": "train+val", "test": "test"}
"""Person numbers restart between the published test folder and the other two, which share theirs."""
PATIENT = re.compile(r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-")
ENDINGS = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class CxrPneumonia:
    """Grey chest X-rays, one channel, uint8; the class is normal or pneumonia.

    Args:
        image_size: side of an item in pixels. Both sides are resized to it, so aspect is not kept.
    """

    image_size: int = 256

    channels: ClassVar[tuple[str, ...]] = ("xray",)

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 2048:
            raise UsageError(f"image_size {self.image_size} does not fit a chest X-ray", "choose a size from 8 to 2048")

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images under root or root/chest_xray. Raises MissingDataError, BadDataError."""
        top = root / "chest_xray" if (root / "chest_xray").is_dir() else root
        found = [_source(file, group, top) for group, folder in _groups(top) for file in _files(folder)]
        if not found:
            raise MissingDataError(
                f"{root} holds no chest X-rays: no folder chest_xray/train/NORMAL or NORMAL with .jpeg files",
                "give the folder that holds chest_xray, as the Kaggle download unpacks",
            )
        return found

    def read(self, source: Source) -> Items:
        """Read one image as (1, 1, image_size, image_size), uint8. Raises BadDataError naming the file."""
        plane = _levels(read_image(source.files[0]).pixels, source.files[0])
        return Items(pixels=to_uint8(resize_smooth(plane, self.image_size))[None, None], names=("",))


def _groups(top: Path) -> Iterator[tuple[str, Path]]:
    groups = [group for group in GROUPS if (top / group).is_dir()]
    yield from ((group, top / group) for group in groups)
    if not groups:
        yield "", top


def _files(folder: Path) -> list[Path]:
    files = [file for label in CLASSES for file in (folder / label).glob("*")]
    return sorted(file for file in files if file.suffix.lower() in ENDINGS and not file.name.startswith("."))


def _source(file: Path, group: str, top: Path) -> Source:
    numbering = NUMBERED_WITH.get(group, "")
    return Source(
        subject=f"{numbering}:{_patient(file)}" if numbering else _patient(file),
        name=file.relative_to(top).with_suffix("").as_posix(),
        files=(str(file),),
        label=file.parent.name,
        group=group,
    )


def _patient(file: Path) -> str:
    match = PATIENT.match(file.name)
    if match is None:
        raise BadDataError(
            f"{file} does not name its patient: names begin with person123_, IM-0115- or NORMAL2-IM-0927-",
            "give it the name of the published file, or leave it out",
        )
    return match[1] or match[2]


def _levels(plane: Array, file: str) -> Array:
    if plane.ndim != 2 or plane.dtype != "uint8":
        raise BadDataError(
            f"{file} holds {plane.dtype} pixels of shape {plane.shape}, the published X-rays are 8-bit grey",
            "save it as an 8-bit grey image",
        )
    return plane
