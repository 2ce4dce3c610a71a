"""LUNA16: the CT scans of LIDC-IDRI with slices of at most 2.5 mm, and the positions of their nodules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.text_files import PUBLISHED
from benchmark.cohorts.volume_datasets import Volumes
from benchmark.core.errors import BadDataError, MissingDataError, UsageError
from benchmark.core.types import Source
from benchmark.images.readers import Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ")


@dataclass(frozen=True, kw_only=True)
class Luna16(Volumes):
    """Slices, volumes, or patches of chest CT, one channel, uint8.

    Args:
        points: with items=tiles or items=patches, cut around each point of `annotations` or `candidates`.csv instead
            of on a grid.

    All other options are those of Volumes.
    """

    window: str = "lung"
    points: Literal["", "annotations", "candidates"] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points and self.items not in ("tiles", "patches"):
            raise UsageError(f"points={self.points} is of tiles and patches, not of {self.items}", "add items=tiles")

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/subset0/SERIES.mhd to subset9, one subject per series. Raises MissingDataError."""
        scans = sorted(file for file in root.glob("subset*/*.mhd") if not file.name.startswith("."))
        scans = scans or sorted(root.glob("*.mhd"))
        if not scans:
            raise MissingDataError(
                f"{root} holds no scan: no file subset0/SERIES.mhd", "give the folder that holds subset0 to subset9"
            )
        table = self._table(scans[0])
        extra = (str(table),) if table else ()
        return [Source(subject=scan.stem, name=scan.stem, files=(str(scan), *extra)) for scan in scans]

    def centres(self, source: Source, image: Image) -> Array | None:
        """Return the voxels of the points of this scan. Raises BadDataError for coordinates that are not numbers."""
        if not self.points:
            return None
        points = _points(source.files[1]).get(Path(source.files[0]).stem, np.empty((0, 3)))
        assert image.affine is not None
        # The table counts to the patient's left and back, the affine to the right and front.
        world = np.c_[points * (-1, -1, 1), np.ones(len(points))]
        voxels: Array = (world @ np.linalg.inv(image.affine).T)[:, :3]
        return voxels

    def _table(self, scan: Path) -> Path | None:
        if not self.points:
            return None
        places = [folder / f"{self.points}.csv" for folder in (scan.parent, scan.parent.parent)]
        table = next((place for place in places if place.is_file()), None)
        if table is None:
            raise MissingDataError(
                f"{places[1]} does not exist", f"download {self.points}.csv of LUNA16, or leave points out"
            )
        return table


@lru_cache(maxsize=2)
def _points(path: str) -> dict[str, Array]:
    """Return (n, 3) mm to the left, back and head for each series of a table."""
    table = read_csv(Path(path), COLUMNS, advice=PUBLISHED)
    try:
        values = table[list(COLUMNS[1:])].astype(float).to_numpy()
    except ValueError as error:
        raise BadDataError(f"{path} holds coordinates that are not numbers", "download the file again") from error
    return {str(name): values[rows] for name, rows in table.groupby("seriesuid").indices.items()}
