"""Any tree of images: radiographs, arrays of planes, volumes, or folders of DICOM files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.cohorts.column_roles import read_roles
from benchmark.cohorts.csv_tables import require_csv
from benchmark.cohorts.dicom_datasets import DicomSeries
from benchmark.cohorts.radiograph_datasets import Fit, square
from benchmark.cohorts.volume_datasets import Volumes, require_volume
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Items, Source
from benchmark.images.readers import Image, is_dicom, read_image, suffix
from benchmark.images.readers.image import remarks_on
from benchmark.images.readers.series import FEWEST

from .listing import VOLUMES, Listing, list_images, plain
from .patterns import PATIENT_ID, STUDY_ID, require_group_pattern
from .subjects import FROM_TAG, Subjects, from_pattern, from_table, recognised
from .tags import join_by_tag


@dataclass(frozen=True, kw_only=True)
class Folder(DicomSeries):
    """One channel, uint8: planes from 2D images and arrays (n, rows, columns), slices or volumes from volumes.

    Args:
        group_pattern: regular expression that finds the patient in a file's path below the folder: its first group,
            or all that it matches; `folder` or `folder:1` for the topmost folder, `folder:2` for the next, `folder:-1`
            for the innermost; `none` if each file, or series, is of another patient; of DICOM files `patient-id` or
            `study-id` for the tag PatientID or StudyInstanceUID, which is compared and kept nowhere. Without it,
            patients are recognised from the folders and names, those of DICOM files also from PatientID, and where
            they cannot be, the answers that fit are proposed.
        table: CSV file with the columns file (the path below the folder; of a DICOM series, of its folder) and patient,
            and optionally label and split (train for the published training set).
        columns: what its columns are named, if otherwise: such as `patient=patient_id,file=source_file`, with the roles
            patient, file, class, site and split.
        ending: use only files with this ending, such as .png; needed if the tree contains several file types;
            `dicom` takes DICOM files of any name,
            `dicom-series` and `dicom-images` the volumes or the single images among them; `any` takes all types, of
            which planes and slices of volumes are then one set.
        aspect: of planes: `squash` to a square, `pad`, or `fill`: cut off black borders, then squash.

    All other options are those of Volumes.
    """

    group_pattern: str = ""
    table: str = ""
    columns: str = ""
    ending: str = ""
    aspect: Fit = "squash"
    items: Literal["slices", "tiles", "volumes", "patches"] = "slices"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_csv("table", self.table)
        require_group_pattern(self.group_pattern)
        if read_roles(self.columns) and not self.table:
            raise UsageError(
                "--columns names columns, and there is no table",
                "give it, too: --set-data table=FILE.csv, or in an audit --patients FILE.csv",
            )

    def sources(self, root: Path) -> Sequence[Source]:
        """List the images under root. Raises MissingDataError; BadDataError where kinds are mixed; UsageError where
        it cannot be told which images are of one patient.
        """
        listing, subjects = self._subjects(root)
        sources, seen = [], set[tuple[object, ...]]()
        for name, patient in subjects.patients.items():
            # Two names of one file are one image, except under two patients: they must then meet in one split.
            once = (patient, listing.identity(name))
            if once not in seen:
                seen.add(once)
                sources.append(
                    Source(
                        subject=patient,
                        name=plain(name),
                        files=listing.paths(name),
                        label=subjects.labels.get(name) or None,
                        group=subjects.groups.get(name, ""),
                    )
                )
        return sources

    def joined(self, sources: Sequence[Source], roots: Sequence[Path]) -> list[Source]:
        """Return the sources of several folders; a patient has one name in all of them, by the tags of DICOM files."""
        named_by_tag = self.group_pattern in (PATIENT_ID, STUDY_ID) or any(
            what.startswith(FROM_TAG) for root in roots for what in self.remarks(root)
        )
        return join_by_tag(sources, 1 if self.group_pattern == STUDY_ID else 0, named_by_tag=named_by_tag)

    def remarks(self, root: Path) -> Mapping[str, Sequence[str]]:
        """State how patients and labels were found, and name what was skipped and what a table does not list."""
        listing, subjects = self._subjects(root)
        return {**subjects.remarks, **listing.remarks()}

    def _subjects(self, root: Path) -> tuple[Listing, Subjects]:
        listing = list_images(root, self.ending)
        if self.table:
            return listing, from_table(root, listing, self.table, read_roles(self.columns))
        return from_pattern(listing, self.group_pattern) if self.group_pattern else recognised(root, listing)

    def read(self, source: Source) -> Items:
        """Read one image, array, volume or DICOM folder. Raises BadDataError naming the file."""
        file = source.files[0]
        if len(source.files) > 1 or _holds_series(Path(file)):
            return super().read(source)
        if suffix(Path(file)) in VOLUMES or self.dimensions == 3:
            return Volumes.read(self, source)
        return self._planes_of(source)

    def load(self, source: Source) -> Sequence[Image]:
        """Return the volume of a file; among slices, a single plane in a format of volumes is a volume of one slice."""
        (file,) = source.files
        image = read_image(file, nan=self.nan, part=None if self.part < 0 else self.part)
        if self.items == "slices" and image.pixels.ndim == 2:
            # As seen by radiologists, and without a distance between planes.
            return [replace(image, pixels=image.pixels[:, :, None], spacing_mm=())]
        return [require_volume(image, file)]

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


def _holds_series(file: Path) -> bool:
    """Return whether one DICOM file is a whole volume, as enhanced CT and MR are."""
    if not is_dicom(file):
        return False
    from benchmark.images.readers.dicom import frame_count

    return frame_count(file) >= FEWEST
