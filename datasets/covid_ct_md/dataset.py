"""COVID-CT-MD: chest CT of patients with COVID-19, with pneumonia, and of healthy ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cohorts.dicom_datasets import DicomSeries, dicom_folders
from benchmark.core.errors import MissingDataError
from benchmark.core.types import Source

CLASSES = {"covid": "COVID-19", "cap": "pneumonia", "normal": "normal"}
"""How the folders of the classes begin: `Covid-19 Cases`, `Cap Cases`, `Normal Cases`."""


@dataclass(frozen=True, kw_only=True)
class CovidCtMd(DicomSeries):
    """Axial slices (or volumes) of chest CT, one channel, uint8. Options are those of Volumes."""

    window: str = "lung"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the patients' folders of DICOM files under root. Raises MissingDataError."""
        folders = dicom_folders(root)
        if not folders:
            raise MissingDataError(
                f"{root} holds no DICOM files: no folder such as Cap Cases/cap001 with IM0001.dcm",
                "give the folder that holds Covid-19 Cases, Cap Cases and Normal Cases",
            )
        return [
            Source(
                subject=folder.name,
                name=folder.name,
                files=tuple(str(file) for file in files),
                label=_label(folder.relative_to(root)),
            )
            for folder, files in folders.items()
        ]


def _label(place: Path) -> str | None:
    parts = [part.lower() for part in place.parts[:-1]]
    return next((label for start, label in CLASSES.items() if any(part.startswith(start) for part in parts)), None)
