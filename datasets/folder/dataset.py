"""Any tree of images: radiographs, arrays of planes, volumes, or folders of DICOM files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.cohorts.csv_tables import read_csv, require_csv, require_unique
from benchmark.cohorts.dicom_datasets import DicomSeries, dicom_folders
from benchmark.cohorts.radiograph_datasets import Fit, square
from benchmark.cohorts.volume_datasets import Volumes, stem
from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.options import require_pattern
from benchmark.core.types import Items, Source
from benchmark.images.readers import DICOM, READERS, is_dicom, read_image, suffix
from benchmark.images.readers.image import remarks_on
from benchmark.images.readers.series import FEWEST

VOLUMES = (".nii", ".nii.gz", ".hdr", ".mhd", ".mha", ".nrrd", ".nhdr", ".h5", ".hdf5")
ARRAYS = (".npy", ".npz")
SERIES = "DICOM series"
COLUMNS = ("file", "patient")


@dataclass(frozen=True, kw_only=True)
class Folder(DicomSeries):
    """One channel, uint8: planes from 2D images and arrays (n, rows, columns), slices or volumes from volumes.

    Args:
        group_pattern: regular expression that finds the patient in a file's path below the folder: its first group,
            or all that it matches. Without it the top-level folder of a file is the patient, or the name of a file that
            is in no folder.
        table: CSV file with the columns file (the path below the folder; of a DICOM series, of its folder) and patient,
            and optionally label and split (train for the published training set).
        ending: use only files with this ending, such as .png; needed if the tree contains several file types.
        aspect: of planes: `squash` to a square, or `pad`.

    All other options are those of Volumes.
    """

    group_pattern: str = ""
    table: str = ""
    ending: str = ""
    aspect: Fit = "squash"
    items: Literal["slices", "tiles", "volumes", "patches"] = "slices"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_csv("table", self.table)
        require_pattern("group_pattern", self.group_pattern, "(P[0-9]+)_")

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images under root. Raises MissingDataError, BadDataError where kinds are mixed."""
        listed = self._listed(root)
        rows = self._rows()
        sources = []
        for name, files in listed.items():
            row = rows.get(name, {}) if rows else {}
            if rows and not row:
                continue
            subject = row["patient"] if row else self._patient(name)
            sources.append(
                Source(
                    subject=subject,
                    name=_plain(name),
                    files=tuple(map(str, files)),
                    label=row.get("label") or None,
                    group=row.get("split", ""),
                )
            )
        if not sources:
            raise MissingDataError(
                f"{root} holds none of the {len(rows)} files of {self.table}",
                "give paths below the folder, with forward slashes, in the column file",
            )
        return sources

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """State how patients were identified, and name files that the table does not list."""
        if not self.table:
            guessed = "each file, or topmost folder, counts as a patient of its own: no group_pattern was given"
            return {} if self.group_pattern else {guessed: []}
        unlisted = sorted(set(self._listed(root)) - set(self._rows()))
        return {"left out, not in the table": unlisted} if unlisted else {}

    def read(self, source: Source) -> Items:
        """Read one image, array, volume or DICOM folder. Raises BadDataError naming the file."""
        file = source.files[0]
        if len(source.files) > 1 or _holds_series(Path(file)):
            return super().read(source)
        if suffix(Path(file)) in VOLUMES or self.dimensions == 3:
            return Volumes.read(self, source)
        return self._planes_of(source)

    def _planes_of(self, source: Source) -> Items:
        (file,) = source.files
        image = read_image(file, nan=self.nan)
        if image.pixels.ndim not in (2, 3):
            raise BadDataError(
                f"{file} holds an array of shape {image.pixels.shape}", "save planes as (n, rows, columns)"
            )
        planes = image.pixels.reshape(-1, *image.pixels.shape[-2:])
        pixels = np.stack([square(plane, self.image_size, self.window, self.aspect, file) for plane in planes])
        names = ("",) if image.pixels.ndim == 2 else tuple(f"{number:05d}" for number in range(len(pixels)))
        return Items(pixels=pixels[:, None], names=names, remarks=remarks_on([image], source.name))

    def _listed(self, root: Path) -> dict[str, list[Path]]:
        """Map names below root to files: one file per image, all files of a folder per DICOM series."""
        kinds: dict[str, dict[str, list[Path]]] = {}
        for folder, files in dicom_folders(root).items():
            if len(files) >= FEWEST:
                kinds.setdefault(SERIES, {})[folder.relative_to(root).as_posix()] = files
            else:
                kinds.setdefault("DICOM", {}).update({_below(file, root): [file] for file in files})
        for file in _files(root):
            kinds.setdefault(_kind(file), {})[_below(file, root)] = [file]
        if self.ending:
            kinds = {kind: _ending_with(files, self.ending) for kind, files in kinds.items()}
        kinds = {kind: files for kind, files in kinds.items() if files}
        if not kinds:
            raise MissingDataError(
                f"{root} holds no image{f' that ends in {self.ending}' if self.ending else ''}",
                f"put files there that end in {', '.join(READERS)}, or DICOM folders",
            )
        if len(kinds) > 1:
            counts = ", ".join(f"{len(files)} {kind}" for kind, files in kinds.items())
            raise BadDataError(f"{root} mixes kinds of files: {counts}", "choose one: --set-data ending=.png")
        return dict(sorted(kinds.popitem()[1].items()))

    def _rows(self) -> dict[str, dict[str, str]]:
        if not self.table:
            return {}
        path = Path(self.table)
        table = read_csv(path, COLUMNS, ("label", "split"))
        require_unique(table, "file", path)
        if (table["patient"] == "").any():
            raise BadDataError(f"{path} has a row without a patient", "fill it in, or leave the row out")
        names = list(table.columns)
        return {row[0]: dict(zip(names, row, strict=True)) for row in table.itertuples(index=False, name=None)}

    def _patient(self, name: str) -> str:
        if not self.group_pattern:
            return name.partition("/")[0] if "/" in name else _plain(name)
        match = re.search(self.group_pattern, name)
        patient = match and (match[1] if match.re.groups else match[0])
        if not patient:
            raise BadDataError(
                f"group_pattern {self.group_pattern!r} finds no patient in {name}",
                "widen it, or choose --set-data ending",
            )
        return patient


def _files(root: Path) -> list[Path]:
    files = []
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files += [Path(folder, name) for name in sorted(names) if not name.startswith(".") and _kind(Path(name))]
    return files


def _kind(file: Path) -> str:
    """Return volumes, arrays or flat images; nothing for DICOM, which is listed by folder, and for other files."""
    ending = suffix(file)
    if ending in VOLUMES:
        return "volumes"
    if ending in ARRAYS:
        return "arrays"
    return "flat images" if ending in READERS and ending not in DICOM else ""


def _holds_series(file: Path) -> bool:
    """Return whether one DICOM file is a whole volume, as enhanced CT and MR are."""
    if not is_dicom(file):
        return False
    from benchmark.images.readers.dicom import frame_count

    return frame_count(file) >= FEWEST


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _plain(name: str) -> str:
    """Return a path below the folder without the file's ending."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{stem(last) if suffix(Path(last)) in READERS else last}"


def _ending_with(files_by_name: dict[str, list[Path]], ending: str) -> dict[str, list[Path]]:
    return {name: files for name, files in files_by_name.items() if str(files[0]).lower().endswith(ending.lower())}
