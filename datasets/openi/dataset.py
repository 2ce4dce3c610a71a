"""The Indiana University chest X-rays of Open-i, with their reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.cohorts.csv_tables import read_csv, require_ids
from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.cohorts.text_files import PUBLISHED
from benchmark.core.errors import MissingDataError
from benchmark.core.types import Source

PROJECTIONS, REPORTS = "indiana_projections.csv", "indiana_reports.csv"
FOLDERS = ("images/images_normalized", "images_normalized", "images", "NLMCXR_png", ".")
SECTIONS = ("findings", "impression")


@dataclass(frozen=True, kw_only=True)
class Openi(Radiographs):
    """Chest X-rays, one channel, uint8; the patient is the number of the report.

    Args:
        projection: frontal or lateral images, or all.

    All other options are those of Radiographs.
    """

    projection: Literal["frontal", "lateral", "all"] = "frontal"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images that indiana_projections.csv names and that are there. Raises MissingDataError."""
        present, absent = self._files(root)
        if not present:
            raise MissingDataError(
                f"{root} holds none of the {len(absent)} images that {PROJECTIONS} names",
                f"unpack the PNG images into {root / FOLDERS[0]}; reports alone serve `bench prompts` only",
            )
        return [
            Source(subject=f"uid{uid}", name=Path(name).name.split(".")[0], files=(str(present[name]),))
            for uid, name in self._rows(root)
            if name in present
        ]

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Name the images that are not there."""
        absent = self._files(root)[1]
        return {"listed, but not on this disk": absent} if absent else {}

    def reports(self, root: Path) -> dict[str, str]:
        """Return findings and impression of each image's report, by the name of its source. Raises BadDataError."""
        table = read_csv(root / REPORTS, ("uid", *SECTIONS), advice=PUBLISHED)
        texts = {uid: " ".join(part for part in parts if part).strip() for uid, *parts in table.itertuples(index=False)}
        return {source.name: texts.get(source.subject.removeprefix("uid"), "") for source in self.sources(root)}

    def _rows(self, root: Path) -> list[tuple[str, str]]:
        table = read_csv(root / PROJECTIONS, ("uid", "filename", "projection"), advice=PUBLISHED)
        require_ids(table, "uid", root / PROJECTIONS)
        wanted = table["projection"].str.lower() == self.projection
        table = table if self.projection == "all" else table[wanted]
        return sorted(zip(table["uid"], table["filename"], strict=True), key=lambda row: (row[0].zfill(8), row[1]))

    def _files(self, root: Path) -> tuple[dict[str, Path], list[str]]:
        names = [name for _, name in self._rows(root)]
        places = [(name, root / folder / name) for name in names for folder in reversed(FOLDERS)]
        present = {name: path for name, path in places if path.is_file()}
        return present, [name for name in names if name not in present]
