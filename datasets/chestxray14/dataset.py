"""NIH ChestX-ray14, in the folders that the NIH publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from benchmark.cohorts.csv_tables import read_csv, require_ids, require_unique
from benchmark.cohorts.radiograph_datasets import Radiographs
from benchmark.cohorts.text_files import PUBLISHED, read_lines
from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.types import Source

TABLES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
NAME, FINDINGS, PATIENT = "Image Index", "Finding Labels", "Patient ID"
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
DAR_TRAIN, DAR_HELD = 10_000, 200


@dataclass(frozen=True, kw_only=True)
class ChestXray14(Radiographs):
    """Frontal chest X-rays, one channel, uint8; the class is the list of findings.

    Args:
        single: only images with exactly one finding, "No Finding" included.
        published: what `--split official` means: the `nih` lists by patient, or `dar2025`, the first 10,000 images by
            name for training and the last 200 held out.

    All other options are those of Radiographs.
    """

    single: bool = False
    published: Literal["nih", "dar2025"] = "nih"

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images of root/images_*/images, root/images or root. Raises MissingDataError, BadDataError."""
        table, files = _table(root), _files(root)
        listed = [row for row in table.itertuples(index=False) if row[0] in files]
        if not listed:
            raise MissingDataError(
                f"{root} holds none of the {len(table)} images that its table lists",
                "unpack images_001.tar.gz to images_012.tar.gz into the folder of the table",
            )
        groups = _lists(root)
        sources = [
            Source(
                subject=str(patient),
                name=Path(name).stem,
                files=(str(files[name]),),
                label=str(findings),
                group=groups.get(name, ""),
            )
            for name, findings, patient in sorted(listed)
            if not self.single or "|" not in findings
        ]
        return sources if self.published == "nih" else _dar(sources)

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Name the images without a row, and the rows without an image."""
        listed, files = set(_table(root)[NAME]), set(_files(root))
        names_by_remark = {"left out, not in the table": files - listed, "listed, but not on this disk": listed - files}
        return {what: sorted(names) for what, names in names_by_remark.items() if names}


def _table(root: Path) -> pd.DataFrame:
    path = next((root / name for name in TABLES if (root / name).is_file()), root / TABLES[0])
    table = read_csv(path, (NAME, FINDINGS, PATIENT), advice=PUBLISHED)
    require_unique(table, NAME, path)
    require_ids(table, PATIENT, path)
    return table


def _files(root: Path) -> dict[str, Path]:
    places = sorted(root.glob("images_*/images")) or [root / "images", root]
    files: dict[str, Path] = {}
    for file in (file for place in places for file in sorted(place.glob("*.png")) if not file.name.startswith(".")):
        if file.name in files:
            raise BadDataError(
                f"{file} is there twice: also {files[file.name]}", "keep one copy of each image under the folder"
            )
        files[file.name] = file
    return files


def _lists(root: Path) -> dict[str, str]:
    paths = {group: root / name for group, name in LISTS.items() if (root / name).is_file()}
    return {name: group for group, path in paths.items() for name in read_lines(path)}


def _dar(sources: Sequence[Source]) -> list[Source]:
    if len(sources) < DAR_TRAIN + DAR_HELD:
        raise MissingDataError(
            f"published=dar2025 needs at least {DAR_TRAIN + DAR_HELD} images, here: {len(sources)}",
            "unpack all twelve archives, or leave it out",
        )
    train = [replace(source, group="train") for source in sources[:DAR_TRAIN]]
    return train + [replace(source, group="val") for source in sources[-DAR_HELD:]]
