"""Simulated chest radiographs of the patients of phantom-ct, in PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from benchmark.cohorts.phantoms import require_all, require_patients, write_missing
from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.core.files import atomic_write
from benchmark.core.types import Source

from ..phantom_ct.chest import STEP, simulate  # noqa: TID252 (absolute, mypy cannot find it in a checkout)
from .project import radiograph

VIEWS = (-6.0, -2.0, 2.0, 6.0)
"""Degrees by which a patient is rotated: the position differs between exposures."""


@dataclass(frozen=True, kw_only=True)
class PhantomCXR(Radiographs):
    """Chest radiographs, four per patient, one channel, uint8.

    Args:
        patients: how many simulated patients, 1 to 999; patient i is the same whatever the number.

    All other options are those of Radiographs.
    """

    image_size: int = 128
    patients: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require_patients(self.patients)

    def create(self, root: Path) -> None:
        """Simulate and write the patients that are not under root yet. Raises MachineError."""
        write_missing(root, write_patient, folder_of, self.patients)

    def sources(self, root: Path) -> Sequence[Source]:
        """List the views of the first `patients` patients. Raises MissingDataError where one is not there."""
        folders = [folder_of(root, number) for number in range(1, self.patients + 1)]
        require_all(root, folders)
        return [
            Source(subject=folder.name, name=f"{folder.name}_view{view + 1}", files=(str(folder / f"{view + 1}.png"),))
            for folder in folders
            for view in range(len(VIEWS))
        ]


def folder_of(root: Path, number: int) -> Path:
    """Return the folder of patient `number` (from 1)."""
    return root / f"chest_{number:03d}"


def write_patient(root: Path, number: int) -> None:
    """Simulate patient `number` and write the views; the folder appears only when all are complete."""
    rng = np.random.default_rng([number, 22])
    chest = simulate(number)
    with atomic_write(folder_of(root, number)) as temporary:
        temporary.mkdir()
        for view, degrees in enumerate(VIEWS):
            image = radiograph(chest, STEP, degrees + rng.normal(0, 1), rng)
            PIL.Image.fromarray(image).save(temporary / f"{view + 1}.png")
