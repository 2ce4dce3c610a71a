"""What data sets of DICOM series share: a folder of files is a source, each series in it a volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.cohorts.volume_datasets import Volumes
from benchmark.core.types import Items, Source
from benchmark.images.crop import ORDER
from benchmark.images.readers import DICOM, is_dicom
from benchmark.images.readers.series import FEWEST, Series, read_series
from benchmark.images.walk import Walk, ending_of, walk

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
    """Map each folder under root that holds DICOM files to them, sorted. Raises BadDataError as `require_readable`."""
    files = walk(root)
    files.require_readable()
    return {files.path(folder): list(map(files.path, names)) for folder, names in dicom_names(files).items()}


def dicom_names(files: Walk) -> dict[str, list[str]]:
    """Map each folder, as its path below the root, to the names of its DICOM files, both sorted."""
    folders: dict[str, list[str]] = {}
    for name in files.files:
        # Only a name without an image's ending is worth opening.
        if ending_of(name) in ("", *DICOM) and is_dicom(files.path(name)):
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    return dict(sorted(folders.items()))
