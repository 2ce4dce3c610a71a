"""What data sets of DICOM series share: a folder of files is a source, each series in it a volume."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.cohorts.volume_datasets import Volumes
from benchmark.core.types import Items, Source
from benchmark.images.crop import ORDER
from benchmark.images.readers import is_dicom
from benchmark.images.readers.series import FEWEST, Series, read_series

SCOUTS = f"DICOM series of fewer than {FEWEST} planes skipped"
SKIPPED = "skipped, not images of the scan"
FACES = "scans of the head: a face can be rebuilt from them, so remove faces before anything leaves the house"


@dataclass(frozen=True, kw_only=True)
class DicomSeries(Volumes):
    """Volumes of DICOM folders. Options as of Volumes."""

    def read(self, source: Source) -> Items:
        """Read all series of a folder; each becomes items. Raises BadDataError naming the file."""
        along = ORDER[self.axis][0] if self.dimensions == 2 else None
        series = read_series([Path(file) for file in source.files], slices_along=along)
        items = self.gridded(series.volumes, source)
        return replace(items, remarks=(*items.remarks, *_remarks(series, source.name)))


def _remarks(series: Series, name: str) -> Iterator[tuple[str, str]]:
    """Yield what was done to a source, with names of files and amounts, and no tag."""
    yield from ((what, name) for what, holds in {SCOUTS: series.scouts > 0, FACES: series.head}.items() if holds)
    yield from ((f"{SKIPPED}: {kind.many}", f"{name}/{path.name}") for kind, path in series.skipped)
    yield from ((what, f"{name} ({amount})" if amount else name) for what, amount in series.notes)


def dicom_folders(root: Path) -> dict[Path, list[Path]]:
    """Map each folder under root that holds DICOM files to them, sorted; hidden names and DICOMDIR are skipped."""
    folders: dict[Path, list[Path]] = {}
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".") and name != "DICOMDIR"]
        series = [file for file in files if is_dicom(file)]
        if series:
            folders[Path(folder)] = series
    return dict(sorted(folders.items()))
