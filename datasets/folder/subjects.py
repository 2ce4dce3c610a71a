"""Patients, labels and published splits of the images of a folder: by a table, by a pattern, or recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.cohorts.patient_table import PatientTable, read_patient_table
from benchmark.core.errors import MissingDataError

from .layout import Doubt, Levels, find_patients, strip_levels
from .listing import Listing
from .patterns import oddity, patients_by, question
from .tables import find_table

CHANGE = "another rule: --group-pattern"


@dataclass
class Subjects:
    """Who is on which image. All mappings have names of images as keys."""

    patients: dict[str, str]
    """Patient of each image that is used."""
    labels: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    """What was recognised; sentences hold no names, because records keep them, the lists may."""


def from_table(root: Path, listing: Listing, table: str) -> Subjects:
    """Take patients, labels and splits from a given table. Raises MissingDataError where it lists none of the files."""
    listed = read_patient_table(Path(table), list(listing.files), root)
    if not listed.rows:
        raise MissingDataError(
            f"{root} holds none of the {len(listed.absent)} files of {table}",
            f"give paths below the folder in the column file, such as {next(iter(listing.files))}",
        )
    return _from_rows(listing, listed)


def from_pattern(listing: Listing, pattern: str) -> Subjects:
    """Take patients by a pattern, labels and splits from the folders. Raises BadDataError where it finds none."""
    levels = strip_levels(listing.units())
    masked = set(levels.masks)
    units = [unit for unit in listing.units() if unit.name not in masked]
    patients = patients_by(pattern, units)
    remark = oddity(pattern, patients)
    return _with_folders(levels, [unit.name for unit in units], patients, {remark: []} if remark else {})


def recognised(root: Path, listing: Listing) -> Subjects:
    """Recognise patients from a table next to the images, or from folders and names.

    Raises UsageError where they cannot be told: with the answers that would do.
    """
    table = find_table(listing)
    if table:
        subjects = _from_rows(listing, table.rows)
        source = {"patients, from a table next to the images": [str(table.path.relative_to(root))]}
        subjects.remarks = {**source, **subjects.remarks}
        return subjects
    levels = strip_levels(listing.units())
    patients = find_patients(levels)
    if isinstance(patients, Doubt):
        units = [unit for unit in listing.units() if unit.name not in set(levels.masks)]
        raise question(root, patients, units, by_name=not any(unit.folders for unit in levels.units))
    remark = f"patients, from {patients.basis} ({CHANGE})"
    names = [unit.name for unit in levels.units]
    return _with_folders(levels, names, patients.patients, {remark: list(dict.fromkeys(patients.patients))})


def _from_rows(listing: Listing, table: PatientTable) -> Subjects:
    rows = table.rows
    unlisted = sorted(set(listing.files) - set(rows))
    return Subjects(
        patients={name: rows[name]["patient"] for name in listing.files if name in rows},
        labels={name: row.get("label", "") for name, row in rows.items()},
        groups={name: row.get("split", "") for name, row in rows.items()},
        remarks={**({"left out, not in the table": unlisted} if unlisted else {}), **table.remarks()},
    )


def _with_folders(
    levels: Levels, names: Sequence[str], patients: Sequence[str], remarks: dict[str, list[str]]
) -> Subjects:
    """Add the labels and splits that folders say, and name what lies in folders of segmentations."""
    classes = Counter(levels.labels.values())
    labels = [f"{label} {count}" for label, count in sorted(classes.items())]
    told = {"labels, from the folders": labels, "skipped, in folders of segmentations": levels.masks}
    return Subjects(
        patients=dict(zip(names, patients, strict=True)),
        labels=levels.labels,
        groups=levels.groups,
        remarks={**remarks, **{what: listed for what, listed in told.items() if listed}},
    )
