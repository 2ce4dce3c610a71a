"""Finding the cases of a BraTS download by their names alone."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import BadDataError, MissingDataError

CHANNELS = ("t1", "t2", "flair", "t1ce", "seg")
ENDINGS = {
    "t1": ("t1", "t1n"),
    "t2": ("t2", "t2w"),
    "flair": ("flair", "t2f"),
    "t1ce": ("t1ce", "t1gd", "t1c"),
    "seg": ("seg", "segm", "autoseg"),
}
"""How file names end: BraTS 2017-2021, then 2023. Case 355 of BraTS20 has its labels in `W39_1998.09.19_Segm.nii`."""
DEPTH = 3
VISIT = re.compile(r"(?<=-\d{5})-\d{3}$")


@dataclass(frozen=True)
class Case:
    """One folder of one patient."""

    name: str
    files: dict[str, Path]
    """Channel to file, for the channels that are there."""

    @property
    def patient(self) -> str:
        """The case, without the number of the visit that releases from 2023 on append: BraTS-GLI-00001-000."""
        return VISIT.sub("", self.name)

    @property
    def automatic(self) -> bool:
        """Whether the segmentation was computed automatically and not checked."""
        return "seg" in self.files and _ending(self.files["seg"].name) == "autoseg"


def find_cases(root: Path) -> list[Case]:
    """List the case folders at most three levels under root, sorted by name.

    Raises MissingDataError where there is none, BadDataError where two share a name.
    """
    cases = sorted((case for folder in _folders(root) if (case := _case(folder))), key=lambda case: case.name)
    if not cases:
        raise MissingDataError(
            f"{root} holds no BraTS case: no folder with CASE_t1.nii.gz or CASE_t1.nii",
            "give the folder that holds MICCAI_BraTS2020_TrainingData, or one with one folder per case",
        )
    for first, second in itertools.pairwise(cases):
        if first.name == second.name:
            raise BadDataError(
                f"two folders under {root} are named {first.name}", "give the folder of one release, or rename one"
            )
    return cases


def _folders(root: Path) -> list[Path]:
    folders = []
    for folder, below, _files in os.walk(root, followlinks=True):
        depth = len(Path(folder).relative_to(root).parts)
        below[:] = [] if depth >= DEPTH else sorted(name for name in below if not name.startswith("."))
        folders.append(Path(folder))
    return folders


def _case(folder: Path) -> Case | None:
    endings: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if not file.name.startswith(".") and file.name.endswith((".nii", ".nii.gz")):
            endings.setdefault(_ending(file.name), file)
    files = {channel: _first(endings, names) for channel, names in ENDINGS.items()}
    present = {channel: file for channel, file in files.items() if file is not None}
    return Case(folder.name, present) if present.keys() - {"seg"} else None


def _first(endings: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((endings[name] for name in names if name in endings), None)


def _ending(name: str) -> str:
    stem = name.removesuffix(".gz").removesuffix(".nii")
    return re.split("[_-]", stem)[-1].lower()
