"""Finding the cases of a BraTS download by their names alone."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.images.walk import by_folder, walk

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
    below = walk(root, depth=DEPTH)
    below.require_readable()
    listed = (_case(folder, names, root) for folder, names in by_folder(below.files))
    cases = sorted((case for case in listed if case), key=lambda case: case.name)
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


def _case(folder: str, names: list[str], root: Path) -> Case | None:
    endings: dict[str, Path] = {}
    for name in names:
        if name.endswith((".nii", ".nii.gz")):
            endings.setdefault(_ending(name.rpartition("/")[2]), root / name)
    files = {channel: _first(endings, endings_of) for channel, endings_of in ENDINGS.items()}
    present = {channel: file for channel, file in files.items() if file is not None}
    return Case((root / folder).name, present) if present.keys() - {"seg"} else None


def _first(endings: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((endings[name] for name in names if name in endings), None)


def _ending(name: str) -> str:
    stem = name.removesuffix(".gz").removesuffix(".nii")
    return re.split("[_-]", stem)[-1].lower()
