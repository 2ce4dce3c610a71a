"""Patients of DICOM files by their tag PatientID: where folders do not tell them, and to check that folders agree.

Values of tags are compared and forgotten. A patient who is known by the tag alone is called patient-1, patient-2, ...
in the order of the files, so no value reaches a name, a message or the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from benchmark.cohorts.patient_ids import canonical_id, is_missing
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Source
from benchmark.images.readers import is_dicom
from benchmark.images.readers.dicom_patients import Owner, owners
from benchmark.images.readers.image import IN_DOUBT

from .layout import Doubt
from .listing import Listing
from .names import FEWEST_PATIENTS, Patients
from .patterns import PATIENT_ID, STUDY_ID

SHARED = f"{IN_DOUBT}, one PatientID in DICOM files of several patients"
JOINED = "counted as one patient, folders with the same PatientID in their DICOM files"
ANONYMOUS = ("anon", "deid", "removed", "redacted", "patient", "pseudo", "test", "dummy", "xxx")
"""Beginnings of what anonymisers write for every patient; ids that hold a digit tell patients apart again."""
EQUAL = "PatientID is missing or the same in all DICOM files"
CHANGES = "PatientID differs between the files of one study or series"


@dataclass(frozen=True)
class Tagged:
    """The numbers that stand for the tags of DICOM files, by the name of their image."""

    owners: Mapping[str, tuple[Owner, ...]]

    @property
    def fault(self) -> str:
        """Why PatientID does not tell the patients; empty where it does."""
        everyone = [owner for listed in self.owners.values() for owner in listed]
        absent = sum(not owner.patient for owner in everyone)
        if len({owner.patient for owner in everyone} - {0}) < 2:
            return EQUAL
        if _changes([owner for owner in everyone if owner.patient]):
            return CHANGES
        return f"PatientID is missing in {absent} of {len(everyone)} DICOM files" if absent else ""

    @property
    def studies(self) -> int:
        """How many studies there are; 0 where a file does not say it."""
        numbers = {owner.study for listed in self.owners.values() for owner in listed}
        return 0 if 0 in numbers else len(numbers)


def tagged(listing: Listing, *, every_file: bool) -> Tagged:
    """Read the tags of all files, or of three files per folder, and of all where these differ."""
    chosen = {name: files if every_file else _some(files) for name, files in listing.files.items()}
    numbers = iter(owners([listing.below.path(file) for files in chosen.values() for file in files], _canonical))
    tags = Tagged({name: tuple(islice(numbers, len(files))) for name, files in chosen.items()})
    mixed = any(len({owner.patient for owner in listed}) > 1 for listed in tags.owners.values())
    return tagged(listing, every_file=True) if mixed and not every_file else tags


def by_tag(listing: Listing, pattern: str) -> tuple[Listing, list[str], list[str]]:
    """Return the listing with one image for each patient of a folder, the names before, and the patients.

    Raises UsageError for files that are not DICOM, BadDataError where a file lacks the tag or a series has two values.
    """
    if not listing.dicom:
        raise UsageError(f"group_pattern {pattern} needs DICOM files", "choose folder, none or a regular expression")
    tags = tagged(listing, every_file=True)
    place, what = (0, "PatientID") if pattern == PATIENT_ID else (1, "StudyInstanceUID")
    for name, listed in tags.owners.items():
        for file, owner in zip(listing.files[name], listed, strict=True):
            if not owner[place]:
                raise BadDataError(f"{listing.below.path(file)} has no {what}", "choose another --group-pattern")
    if _changes([owner for listed in tags.owners.values() for owner in listed], place):
        raise BadDataError(f"{what} differs between the files of one series", "choose another --group-pattern")
    return separated(listing, tags, place)


def separated(listing: Listing, tags: Tagged, place: int = 0) -> tuple[Listing, list[str], list[str]]:
    """Return what `by_tag` returns: place 0 separates by PatientID, place 1 by StudyInstanceUID."""
    files: dict[str, list[str]] = {}
    before, patients = [], []
    for name, listed in tags.owners.items():
        numbers = dict.fromkeys(owner[place] for owner in listed)
        for number in numbers:
            patient = f"patient-{number}"
            own = name if len(numbers) == 1 else patient if name == "." else f"{name}/{patient}"
            files[own] = [
                file for file, owner in zip(listing.files[name], listed, strict=True) if owner[place] == number
            ]
            before.append(name)
            patients.append(patient)
    return replace(listing, files=files), before, patients


def compared(patients: Patients, names: Sequence[str], tags: Tagged) -> tuple[Patients | Doubt, list[str]]:
    """Compare patients that folders or names tell with PatientID.

    Patients with the same PatientID are joined: returned with which. In doubt are patients with several PatientIDs, and
    joins that leave less than half of the patients: such a tag may name a hospital or a trial.
    """
    numbers = _numbers(dict(zip(names, patients.patients, strict=True)), tags)
    several = sum(len(present) > 1 for present in numbers.values())
    if several:
        reason = f"by {patients.basis}, {several} of {len(numbers)} patients have DICOM files with several PatientIDs"
        enough = len(set().union(*numbers.values())) >= FEWEST_PATIENTS and not tags.fault
        return Doubt(reason, _patient_answer(tags) if enough else ()), []
    stands = _first_of_each(numbers)
    left = len(set(stands.values()))
    if 2 * left < len(numbers):
        return Doubt(f"by {patients.basis}, {len(numbers)} patients have DICOM files with only {left} PatientIDs"), []
    return replace(patients, patients=tuple(stands[patient] for patient in patients.patients)), _pairs(stands)


def shared(patients: Mapping[str, str], tags: Tagged) -> list[str]:
    """Return pairs of patients, given by image, whose files have the same PatientID, where it tells patients apart."""
    return _pairs(_first_of_each(_numbers(patients, tags)))


def join_by_tag(sources: Sequence[Source], place: int, *, named_by_tag: bool) -> list[Source]:
    """Return the sources of several folders with one name for each patient, as far as tags of DICOM files tell.

    Args:
        sources: of folders whose patients were told apart one folder at a time.
        place: 0 compares PatientID, 1 StudyInstanceUID.
        named_by_tag: whether patients are numbered by that tag, from 1 in each folder: they get new numbers. Otherwise
            a patient has the name of the first one with the same tag, unless that leaves less than half of them: then
            the tag names a hospital or a trial.
    """
    films = [source for source in sources if is_dicom(Path(source.files[0]))]
    chosen = [_some(source.files) for source in films]
    flat = iter(owners([Path(file) for files in chosen for file in files], _canonical))
    tags = Tagged({source.name: tuple(islice(flat, len(files))) for source, files in zip(films, chosen, strict=True)})
    numbers = {name: listed[0][place] for name, listed in tags.owners.items() if listed[0][place]}
    if named_by_tag:
        names = {name: f"patient-{number}" for name, number in numbers.items()}
    else:
        first: dict[int, str] = {}
        known = [source for source in films if source.name in numbers]
        names = {source.name: first.setdefault(numbers[source.name], source.subject) for source in known}
        if tags.fault in (EQUAL, CHANGES) or 2 * len(first) < len({source.subject for source in known}):
            names = {}
    return [replace(source, subject=names.get(source.name, source.subject)) for source in sources]


def _numbers(patients: Mapping[str, str], tags: Tagged) -> dict[str, set[int]]:
    """Return the numbers of PatientID of each patient; none where PatientID does not tell patients apart."""
    numbers: dict[str, set[int]] = {patient: set() for patient in patients.values()}
    if tags.fault in (EQUAL, CHANGES):
        return numbers
    for name, patient in patients.items():
        numbers[patient] |= {owner.patient for owner in tags.owners[name]} - {0}
    return numbers


def _first_of_each(numbers: Mapping[str, set[int]]) -> dict[str, str]:
    """Map each patient to the first one that has one of its numbers, or to itself."""
    first: dict[int, str] = {}
    stands = {}
    for patient, present in numbers.items():
        stands[patient] = next((first[number] for number in sorted(present) if number in first), patient)
        first.update({number: stands[patient] for number in present if number not in first})
    return stands


def _pairs(stands: Mapping[str, str]) -> list[str]:
    return sorted(f"{name} = {patient}" for patient, name in stands.items() if name != patient)


def tag_answers(tags: Tagged) -> tuple[str, ...]:
    """Propose the tag that gives enough patients where folders tell nothing."""
    if tags.studies >= FEWEST_PATIENTS:
        return (f"--group-pattern {STUDY_ID} for the {tags.studies} studies if no patient has two",)
    return ()


def _patient_answer(tags: Tagged) -> tuple[str, ...]:
    distinct = len({owner.patient for listed in tags.owners.values() for owner in listed})
    return (f"--group-pattern {PATIENT_ID} for the {distinct} patients by this tag",)


def _canonical(text: str) -> str:
    plain = canonical_id(text)
    nobody = is_missing(text) or (plain.startswith(ANONYMOUS) and not any(map(str.isdigit, plain)))
    return "" if nobody else plain


def _some(files: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((files[0], files[len(files) // 2], files[-1])))


def _changes(everyone: Sequence[Owner], place: int = 0) -> bool:
    """Return whether the files of one series, or of one study, have several values of a tag."""
    series = {(owner.series, owner[place]) for owner in everyone if owner.series}
    studies = {(owner.study, owner[place]) for owner in everyone if owner.study}
    return any(max(Counter(key for key, _ in pairs).values(), default=0) > 1 for pairs in (series, studies))
