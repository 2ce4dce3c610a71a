"""Volumes of the Medical Segmentation Decathlon, or of any folder with the same layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.cohorts.volume_datasets import Volumes, stem
from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.types import Source
from benchmark.images.readers import Image
from benchmark.images.readers.image import checked
from benchmark.images.readers.nifti import read

FOLDERS = ("imagesTr", "images")


@dataclass(frozen=True, kw_only=True)
class Msd(Volumes):
    """3D volumes, one channel, uint8, cut to a cube.

    Args:
        modality: which of the channels of a task with several, from 0; its dataset.json names them.

    All other options are those of Volumes.
    """

    image_size: int = 32
    items: Literal["slices", "tiles", "volumes", "patches"] = "volumes"
    window: str = "percentiles"
    fit: Literal["all", "centre"] = "centre"
    modality: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.modality < 0:
            raise UsageError(f"modality {self.modality} does not exist", "count from 0, as dataset.json does")

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/imagesTr/*.nii.gz (or images/), one subject per file. Raises MissingDataError."""
        folder = next((root / name for name in FOLDERS if (root / name).is_dir()), root)
        files = [file for file in sorted(folder.glob("*.nii*")) if not file.name.startswith(".")]
        if not files:
            raise MissingDataError(
                f"{root} holds no volumes: no file imagesTr/*.nii.gz",
                "give the folder of one task, such as Task04_Hippocampus",
            )
        return [Source(subject=stem(file), name=stem(file), files=(str(file),)) for file in files]

    def load(self, source: Source) -> Sequence[Image]:
        """Read one volume. Raises BadDataError naming the file."""
        path = Path(source.files[0])
        return [checked(read(path, part=self.modality), path, constant_ok=False, nan=self.nan)]
