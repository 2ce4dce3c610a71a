"""Patients, labels and published splits of the images of a folder: by a table, by a pattern, or recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark.cohorts.patient_table import SITES, PatientTable, patient_rows, read_patient_table
from benchmark.core.errors import MissingDataError, UsageError

from .layout import Doubt, Levels, find_patients, strip_levels
from .listing import Listing
from .names import FEWEST_PATIENTS, Patients
from .patterns import PATIENT_ID, STUDY_ID, oddity, patients_by, question
from .tables import find_table, read_mapped, read_named
from .tags import JOINED, SHARED, by_tag, compared, separated, shared, tag_answers, tagged

UNUSED = "not used, tables of patients that list none of these files"
IN_SEVERAL = "counted as one patient, the same name in folders of several"
FROM_TAG = "patients, from the tag PatientID"
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


def from_table(root: Path, listing: Listing, table: str, roles: Mapping[str, str]) -> Subjects:
    """Take patients, labels, splits and sites from a given table, `roles` as for `read_mapped`.

    Raises MissingDataError where it lists none of the files.
    """
    path, known = Path(table), list(listing.files)
    named = read_mapped(path, roles) if roles else read_named(path)
    listed = read_patient_table(path, known, root) if named is None else patient_rows(path, named, known, root)
    if not listed.rows:
        raise MissingDataError(
            f"{root} holds none of the {len(listed.absent)} files of {table}",
            f"give paths below the folder in the column file, such as {next(iter(listing.files))}",
        )
    return _checked_by_tags(listing, _from_rows(listing, listed))


def from_pattern(listing: Listing, pattern: str) -> tuple[Listing, Subjects]:
    """Take patients by a pattern, labels and splits from the folders. Raises BadDataError where it finds none."""
    levels = strip_levels(listing.units())
    used = _without(listing, levels.masks)
    if pattern in (PATIENT_ID, STUDY_ID):
        separate, before, owners = by_tag(used, pattern)
        subjects = _with_folders(_renamed(levels, separate, before), list(separate.files), owners, {})
        return separate, _checked_by_tags(separate, subjects)
    patients = patients_by(pattern, used.units())
    remark = oddity(pattern, patients)
    subjects = _with_folders(levels, list(used.files), patients, {remark: []} if remark else {})
    return listing, _checked_by_tags(listing, subjects)


def recognised(root: Path, listing: Listing) -> tuple[Listing, Subjects]:
    """Recognise patients from a table next to the images, from folders and names, or from the tags of DICOM files.

    Raises UsageError where they cannot be told: with the answers that would do.
    """
    table, others = find_table(listing)
    if table:
        subjects = _from_rows(listing, table.rows)
        source = {"patients, from a table next to the images": [str(table.path.relative_to(root))]}
        subjects.remarks = {**source, **subjects.remarks}
        return listing, _checked_by_tags(listing, subjects)
    levels = strip_levels(listing.units())
    patients = find_patients(levels)
    if isinstance(patients, Doubt) and others:
        patients = replace(patients, reason=f"{patients.reason}; {others[0]} has patients, but for none of these files")
    if listing.dicom:
        listing, subjects = _by_folders_and_tags(root, listing, levels, patients)
    elif isinstance(patients, Doubt):
        raise _question(root, listing, levels, patients)
    else:
        subjects = _told(levels, patients)
    subjects.remarks |= {UNUSED: others} if others else {}
    return listing, subjects


def _by_folders_and_tags(
    root: Path, listing: Listing, levels: Levels, patients: Patients | Doubt
) -> tuple[Listing, Subjects]:
    """Recognise patients of DICOM files: by folders, checked by PatientID, or where these are mute, by PatientID."""
    used = _without(listing, levels.masks)
    unsure = isinstance(patients, Doubt) or len(levels.units) < FEWEST_PATIENTS
    tags = tagged(used, every_file=unsure)
    joined: list[str] = []
    if unsure and not tags.fault:
        separate, before, owners = separated(used, tags)
        remarks = {f"{FROM_TAG} ({CHANGE})": list(dict.fromkeys(owners))}
        return separate, _with_folders(_renamed(levels, separate, before), list(separate.files), owners, remarks)
    if isinstance(patients, Doubt):
        patients = replace(patients, reason=f"{patients.reason}, and {tags.fault}", answers=tag_answers(tags))
    elif unsure and tags.studies >= FEWEST_PATIENTS:
        patients = Doubt(f"its DICOM files are of {tags.studies} studies, and {tags.fault}", tag_answers(tags))
    elif not unsure:
        names = [unit.name for unit in levels.units]
        patients, joined = compared(patients, names, tags)
    if isinstance(patients, Doubt):
        raise _question(root, listing, levels, patients)
    return listing, _told(levels, patients, joined)


def _question(root: Path, listing: Listing, levels: Levels, doubt: Doubt) -> UsageError:
    units = _without(listing, levels.masks).units()
    return question(root, doubt, units, by_name=not any(unit.folders for unit in levels.units))


def _told(levels: Levels, patients: Patients, joined: Sequence[str] = ()) -> Subjects:
    remark = f"patients, from {patients.basis} ({CHANGE})"
    remarks = {remark: list(dict.fromkeys(patients.patients)), **({JOINED: list(joined)} if joined else {})}
    return _with_folders(levels, [unit.name for unit in levels.units], patients.patients, remarks)


def _without(listing: Listing, names: Sequence[str]) -> Listing:
    left_out = set(names)
    return replace(listing, files={name: files for name, files in listing.files.items() if name not in left_out})


def _renamed(levels: Levels, listing: Listing, before: Sequence[str]) -> Levels:
    """Give labels and splits of folders to the images of the patients that were separated in them."""
    pairs = list(zip(listing.files, before, strict=True))
    labels = {name: levels.labels[folder] for name, folder in pairs if folder in levels.labels}
    groups = {name: levels.groups[folder] for name, folder in pairs if folder in levels.groups}
    return replace(levels, labels=labels, groups=groups)


def _checked_by_tags(listing: Listing, subjects: Subjects) -> Subjects:
    """Add a remark where patients that a user names have files with the same PatientID."""
    if listing.dicom:
        used = replace(listing, files={name: listing.files[name] for name in subjects.patients})
        pairs = shared(subjects.patients, tagged(used, every_file=False))
        subjects.remarks |= {SHARED: pairs} if pairs else {}
    return subjects


def _from_rows(listing: Listing, table: PatientTable) -> Subjects:
    rows = table.rows
    unlisted = sorted(set(listing.files) - set(rows))
    return Subjects(
        patients={name: rows[name]["patient"] for name in listing.files if name in rows},
        labels={name: row.get("label", "") for name, row in rows.items()},
        groups={name: row.get("split", "") for name, row in rows.items()},
        remarks={
            **({"left out, not in the table": unlisted} if unlisted else {}), **table.remarks(), **_sites(table)
        },
    )  # fmt: skip


def _sites(table: PatientTable) -> dict[str, list[str]]:
    """Return a remark with the sites and their numbers of images, where the table has a column of sites."""
    sites = Counter(row["site"] for row in table.rows.values() if "site" in row)
    return {SITES: [f"{site} {count}" for site, count in sorted(sites.items())]} if sites else {}


def _with_folders(
    levels: Levels, names: Sequence[str], patients: Sequence[str], remarks: dict[str, list[str]]
) -> Subjects:
    """Add the labels and splits that folders say, and name the segmentations."""
    classes = Counter(levels.labels.values())
    owners = dict(zip(names, patients, strict=True))
    told = {
        "labels, from the folders": [f"{label} {count}" for label, count in sorted(classes.items())],
        f"{IN_SEVERAL} classes": _in_several(owners, levels.labels),
        f"{IN_SEVERAL} splits": _in_several(owners, levels.groups),
        "skipped, segmentations by their folders or names": levels.masks,
    }
    return Subjects(
        patients=owners,
        labels=levels.labels,
        groups=levels.groups,
        remarks={**remarks, **{what: listed for what, listed in told.items() if listed}},
    )


def _in_several(owners: Mapping[str, str], folders: Mapping[str, str]) -> list[str]:
    """Return the patients whose images have several labels or splits by their folders."""
    values: dict[str, set[str]] = {}
    for name, folder in folders.items():
        values.setdefault(owners[name], set()).add(folder)
    return sorted(patient for patient, own in values.items() if len(own) > 1)
