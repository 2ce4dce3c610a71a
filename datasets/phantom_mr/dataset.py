"""Simulated patients in the files of BraTS 2020, read by the same reader as the real ones."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from benchmark.cohorts.phantoms import require_all, require_patients, write_missing
from benchmark.core.files import atomic_write

from ..brats20.dataset import Brats20  # noqa: TID252 (absolute, mypy cannot find it in a checkout)
from .simulate import planes, simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Array, Source

FOLDER = "MICCAI_BraTS2020_TrainingData"
VIEW = (slice(18, 226), slice(32, 208))
"""Rows and columns that every head fits into, with a margin."""
AFFINE = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]], float)


@dataclass(frozen=True)
class PhantomMR(Brats20):
    """Axial slices of simulated brain MR with gliomas, five channels, uint8.

    Args:
        patients: how many simulated patients, 1 to 999; patient i is the same whatever the number.
    """

    patients: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require_patients(self.patients)

    def create(self, root: Path) -> None:
        """Simulate and write the patients that are not under root yet, one process per core.

        Raises MachineError when the disk is full or refuses to be written.
        """
        write_missing(root, write_patient, case_folder, self.patients)

    def sources(self, root: Path) -> Sequence[Source]:
        """List the first `patients` patients under root. Raises MissingDataError where one is not there."""
        wanted = [case_folder(root, number) for number in range(1, self.patients + 1)]
        require_all(root, wanted)
        sources = {source.name: source for source in super().sources(root)}
        return [sources[folder.name] for folder in wanted]

    @staticmethod
    def images(seed: int, up_mm: Sequence[int]) -> NDArray[np.uint8]:
        """Return axial FLAIR planes of one patient, (len(up_mm), 208, 176), uint8: front above, right on the left.

        For demonstrations: fast, and of other patients than the volumes (`simulate.planes`).
        """
        values = planes(seed, "flair", up_mm).swapaxes(1, 2)[:, *VIEW]
        white = np.percentile(values[values > 0], 99.5)
        return np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)


def case_folder(root: Path, number: int) -> Path:
    """Return the folder of patient `number` (from 1) as BraTS 2020 names it."""
    return root / FOLDER / f"BraTS20_Training_{number:03d}"


def write_patient(root: Path, number: int) -> None:
    """Simulate patient `number` and write its five volumes; the folder appears only when all are complete."""
    folder = case_folder(root, number)
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        for name, volume in simulate(number).items():
            _write_nifti(temporary / f"{folder.name}_{name}.nii.gz", volume)


def _write_nifti(path: Path, volume: Array) -> None:
    image = nib.Nifti1Image(volume, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    # No time and no name in the gzip header: the same patient gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
        packed.write(image.to_bytes())
