"""Paediatric chest X-rays of the Kermany pneumonia set, in the folders that Kaggle publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.types import Source

CLASSES = ("NORMAL", "PNEUMONIA")
GROUPS = ("train", "val", "test")
NUMBERED_WITH = {"train": "train+val", "val": "train+val", "test": "test"}
"""The published test folder numbers its persons independently; the other two share their numbers."""
PATIENT = re.compile(r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-")
ENDINGS = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True, kw_only=True)
class CxrPneumonia(Radiographs):
    """Grey chest X-rays, one channel, uint8; the class is normal or pneumonia. Options are those of Radiographs."""

    window: str = "levels"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images under root or root/chest_xray. Raises MissingDataError, BadDataError."""
        top = root / "chest_xray" if (root / "chest_xray").is_dir() else root
        sources = [_source(file, group, top) for group, folder in _groups(top) for file in _files(folder)]
        if not sources:
            raise MissingDataError(
                f"{root} holds no chest X-rays: no folder chest_xray/train/NORMAL or NORMAL with .jpeg files",
                "give the folder that holds chest_xray, as the Kaggle download unpacks",
            )
        return sources


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
