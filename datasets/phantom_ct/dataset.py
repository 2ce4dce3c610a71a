"""Simulated chest CT, one NIfTI file per patient."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from benchmark.cohorts.phantoms import require_all, require_patients, write_missing
from benchmark.cohorts.volume_datasets import Volumes
from benchmark.core.files import atomic_write
from benchmark.core.types import Source

from .chest import SHAPE, STEP, simulate

AFFINE = np.diag([-STEP, -STEP, STEP, 1.0])
AFFINE[:3, 3] = [(SHAPE[0] - 1) * STEP / 2, (SHAPE[1] - 1) * STEP / 2, -(SHAPE[2] - 1) * STEP / 2]


@dataclass(frozen=True, kw_only=True)
class PhantomCT(Volumes):
    """Chest CT in Hounsfield units, cropped to cubes (or slices, patches), one channel, uint8.

    Args:
        patients: how many simulated patients, 1 to 999; patient i is the same whatever the number.

    All other options are those of Volumes.
    """

    image_size: int = 64
    items: Literal["slices", "tiles", "volumes", "patches"] = "volumes"
    window: str = "lung"
    patients: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require_patients(self.patients)

    def create(self, root: Path) -> None:
        """Simulate and write the patients that are not under root yet. Raises MachineError."""
        write_missing(root, write_patient, file_of, self.patients)

    def sources(self, root: Path) -> Sequence[Source]:
        """List the first `patients` patients under root. Raises MissingDataError where one is not there."""
        files = [file_of(root, number) for number in range(1, self.patients + 1)]
        require_all(root, files)
        return [Source(subject=_name(file), name=_name(file), files=(str(file),)) for file in files]


def file_of(root: Path, number: int) -> Path:
    """Return the file of patient `number` (from 1)."""
    return root / f"chest_{number:03d}.nii.gz"


def write_patient(root: Path, number: int) -> None:
    """Simulate patient `number` and write the volume; the file appears only when it is complete."""
    image = nib.Nifti1Image(simulate(number), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    with (
        atomic_write(file_of(root, number)) as temporary,
        temporary.open("wb") as raw,
        # No time and no name in the gzip header: the same patient gives the same bytes.
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
    ):
        packed.write(image.to_bytes())


def _name(file: Path) -> str:
    return file.name.removesuffix(".nii.gz")
