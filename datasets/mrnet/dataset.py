"""MRNet: knee MR from Stanford, one array per exam and plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.cohorts.text_files import read_lines
from benchmark.cohorts.volume_datasets import Volumes, require_volume
from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.types import Source
from benchmark.images.crop import Axis, from_planes
from benchmark.images.readers import Image, read_image

GROUPS = ("train", "valid")
FOLDS, FOLD_SEED = 5, 26
"""Dar et al. shuffle the 1,130 training exams with seed 26 and hold out the first of five folds: 904 and 226."""


@dataclass(frozen=True, kw_only=True)
class Mrnet(Volumes):
    """Knee MR volumes (or slices), one channel, uint8; the class is whether the exam is abnormal.

    Args:
        axis: which of the three series of an exam: sagittal (T2), coronal (T1) or axial (PD).
        published: what `--split official` means: the folders `mrnet` publishes, or `dar2025`, fold 0 of 5 of its
            training exams.

    All other options are those of Volumes. As published: image_size 256, depth 32, window range, padding mid-grey.
    """

    image_size: int = 256
    items: Literal["slices", "tiles", "volumes", "patches"] = "volumes"
    axis: Axis = "sagittal"
    window: str = "range"
    depth: int = 32
    published: Literal["mrnet", "dar2025"] = "mrnet"

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/train/PLANE/0000.npy and root/valid (or those below root/MRNet-v1.0).

        Raises MissingDataError, BadDataError.
        """
        top = root / "MRNet-v1.0" if (root / "MRNet-v1.0").is_dir() else root
        sources = [source for group in GROUPS for source in self._group(top, group)]
        if not sources:
            raise MissingDataError(
                f"{root} holds no exam: no file train/{self.axis}/0000.npy", "give the folder MRNet-v1.0"
            )
        return sources if self.published == "mrnet" else _dar(sources)

    def load(self, source: Source) -> Sequence[Image]:
        """Read one series; its slices are assumed to be in radiological view. Raises BadDataError."""
        image = require_volume(read_image(source.files[0], nan=self.nan), source.files[0])
        return [Image(from_planes(image.pixels, self.axis), remarks=image.remarks)]

    def _group(self, top: Path, group: str) -> list[Source]:
        labels = _labels(top / f"{group}-abnormal.csv")
        files = sorted(file for file in (top / group / self.axis).glob("*.npy") if not file.name.startswith("."))
        return [
            Source(subject=file.stem, name=file.stem, files=(str(file),), label=labels.get(file.stem), group=group)
            for file in files
        ]


def _labels(path: Path) -> dict[str, str]:
    """Read `0000,1` lines, which have no header."""
    labels = {}
    for line in read_lines(path) if path.is_file() else ():
        exam, _, value = line.partition(",")
        if value.strip() not in ("0", "1"):
            raise BadDataError(f"{path} has a line that is not EXAM,0 or EXAM,1", "download the file again")
        labels[exam.strip().zfill(4)] = "abnormal" if value.strip() == "1" else "normal"
    return labels


def _dar(sources: Sequence[Source]) -> list[Source]:
    from sklearn.model_selection import KFold

    train = [source for source in sources if source.group == "train"]
    if len(train) < FOLDS:
        raise MissingDataError(
            f"published=dar2025 splits the training exams into {FOLDS} folds, here: {len(train)} exams",
            "give the folder train of MRNet-v1.0",
        )
    _, held = next(iter(KFold(FOLDS, shuffle=True, random_state=FOLD_SEED).split(train)))
    groups = {int(place): "val" for place in held}
    return [replace(source, group=groups.get(place, "train")) for place, source in enumerate(train)]
