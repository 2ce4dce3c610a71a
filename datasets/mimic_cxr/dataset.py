"""MIMIC-CXR and MIMIC-CXR-JPG, in the folders that PhysioNet publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cohorts.csv_tables import read_csv
from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.cohorts.text_files import PUBLISHED
from benchmark.core.errors import MissingDataError
from benchmark.core.types import Source

ENDINGS = (".jpg", ".dcm")
METADATA = ("mimic-cxr-2.0.0-metadata.csv.gz", "mimic-cxr-2.0.0-metadata.csv")
SPLIT = ("mimic-cxr-2.0.0-split.csv.gz", "mimic-cxr-2.0.0-split.csv")
FRONTAL = ("PA", "AP")


@dataclass(frozen=True, kw_only=True)
class MimicCxr(Radiographs):
    """Chest X-rays, one channel, uint8; JPEG or DICOM.

    Args:
        views: which ViewPosition values are used, frontal ones by default; `all` for every image.

    All other options are those of Radiographs.
    """

    views: tuple[str, ...] = FRONTAL

    def sources(self, root: Path) -> Sequence[Source]:
        """List root/files/p10/p10000032/s50414267/*.jpg or .dcm. Raises MissingDataError, BadDataError."""
        files = _images(root)
        if not files:
            raise MissingDataError(
                f"{root} holds no image: no file files/p10/p10000032/s50414267/*.jpg or *.dcm",
                "give the folder that holds `files`, as wget from PhysioNet leaves it",
            )
        views, splits = _column(root, METADATA, "ViewPosition"), _column(root, SPLIT, "split")
        kept = [file for file in files if self._seen(file, views)]
        if not kept:
            raise MissingDataError(
                f"none of the {len(files)} images under {root} is a view {', '.join(self.views)}",
                f"copy {METADATA[0]} into the folder that holds `files`, or choose --set-data views=all",
            )
        return [
            Source(
                subject=file.parent.parent.name,
                name=f"{file.parent.name}_{file.stem}",
                files=(str(file),),
                group=splits.get(file.stem, ""),
            )
            for file in kept
        ]

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Name the images of other views."""
        views = _column(root, METADATA, "ViewPosition")
        others = [file.stem for file in _images(root) if not self._seen(file, views)]
        return {f"left out, not a view {' or '.join(self.views)}": others} if others else {}

    def reports(self, root: Path) -> dict[str, str]:
        """Return the report of each image's study, by the name of its source. Raises BadDataError."""
        reports = {}
        for source in self.sources(root):
            study = Path(source.files[0]).parent
            report = study.with_suffix(".txt")
            if report.is_file():
                reports[source.name] = report.read_text(encoding="utf-8", errors="replace")
        return reports

    def _seen(self, file: Path, views: Mapping[str, str]) -> bool:
        return self.views == ("all",) or views.get(file.stem) in self.views


def _images(root: Path) -> tuple[Path, ...]:
    """List the images of the first ending that is there."""
    for ending in ENDINGS:
        files = sorted(root.glob(f"files/p*/p*/s*/*{ending}"))
        if files:
            return tuple(files)
    return ()


def _column(root: Path, names: Sequence[str], column: str) -> dict[str, str]:
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        return {}
    table = read_csv(path, ("dicom_id", column), advice=PUBLISHED)
    return dict(zip(table["dicom_id"], table[column], strict=True))
