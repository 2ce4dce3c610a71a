"""LIDC-IDRI: chest CT in the folders of The Cancer Imaging Archive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cohorts.dicom_datasets import DicomSeries, dicom_folders
from benchmark.core.errors import MissingDataError
from benchmark.core.types import Source
from benchmark.images.readers.series import FEWEST

PATIENT = re.compile(r"LIDC-IDRI-\d{4}")


@dataclass(frozen=True, kw_only=True)
class LidcIdri(DicomSeries):
    """Axial slices (or volumes) of chest CT, one channel, uint8. Options are those of Volumes."""

    window: str = "lung"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the series under root/LIDC-IDRI-0001/STUDY/SERIES; radiographs are skipped.

        Raises MissingDataError.
        """
        scans_of: dict[str, list[list[Path]]] = {}
        for folder, files in dicom_folders(root).items():
            patient = PATIENT.search(folder.relative_to(root.parent).as_posix())
            if patient and len(files) >= FEWEST:
                scans_of.setdefault(patient[0], []).append(files)
        if not scans_of:
            raise MissingDataError(
                f"{root} holds no CT: no folder LIDC-IDRI-0001/STUDY/SERIES with at least {FEWEST} DICOM files",
                "give the folder that the NBIA Data Retriever filled",
            )
        return [
            Source(
                subject=patient,
                name=patient if number == 0 else f"{patient}_scan{number + 1}",
                files=tuple(str(file) for file in files),
            )
            for patient, scans in scans_of.items()
            for number, files in enumerate(scans)
        ]
