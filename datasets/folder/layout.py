"""What the folders below a root mean: patients, classes, splits, views; or that it cannot be told.

A wrong guess is dangerous in one direction. One patient taken for two may be in training and held out at once, and the
result is then wrong; two patients taken for one only lose some images. So wherever there is doubt, patients are joined,
or the user is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .masks import masks_among
from .names import FEWEST_PATIENTS, Patients, by_column, first_part, named, names_something, without_visits
from .words import is_class, is_container, is_number, is_split, is_study, is_unnumbered, is_view, is_visit, split_of

FEW_FOLDERS = 20
"""Up to so many folders may be classes."""
FEW_IMAGES = 10
"""With more images in each, folders whose names hold no number may be classes as well as patients."""


@dataclass(frozen=True)
class Unit:
    """One image: a file, or a folder that holds a series."""

    name: str
    """Path below the root."""
    folders: tuple[str, ...]
    """The folders above it; a series' own folder is the last."""
    stem: str
    """Name of the file without its ending; empty for a series."""

    @property
    def plain(self) -> str:
        """The path below the root without the file's ending."""
        return "/".join((*self.folders, self.stem)) if self.stem else self.name


@dataclass
class Levels:
    """Units without the folders that say nothing of patients, and what those folders say."""

    units: list[Unit]
    """With only those folders that may tell patients apart."""
    labels: dict[str, str] = field(default_factory=dict)
    """Class of each unit, by its name; empty without class folders."""
    groups: dict[str, str] = field(default_factory=dict)
    """Published split of each unit: train, val or test."""
    masks: list[str] = field(default_factory=list)
    """Units that are segmentations of others."""


@dataclass(frozen=True)
class Doubt:
    """Why the patients cannot be told."""

    reason: str
    answers: tuple[str, ...] = ()
    """Answers that fit, before those that folders and names propose."""
    by_name: bool = False
    """Whether names of files may tell the patients although there are folders: of visits."""


def strip_levels(units: Sequence[Unit]) -> Levels:
    """Take away, from the top, folders that are no patients: one around all, splits, batches, views, masks, classes."""
    levels = Levels(list(units), masks=masks_among(units))
    masks = set(levels.masks)
    levels.units = [unit for unit in units if unit.name not in masks]
    while levels.units and all(unit.folders for unit in levels.units):
        heads = {unit.folders[0] for unit in levels.units}
        if all(map(is_split, heads)):
            levels.groups = {unit.name: split_of(unit.folders[0]) for unit in levels.units}
        elif _are_classes(heads):
            above = {name: f"{label}/" for name, label in levels.labels.items()}
            levels.labels = {unit.name: above.get(unit.name, "") + unit.folders[0] for unit in levels.units}
        elif not (len(heads) == 1 or all(map(is_container, heads)) or all(map(is_view, heads))):
            break
        levels.units = [Unit(unit.name, unit.folders[1:], unit.stem) for unit in levels.units]
    return levels


def find_patients(levels: Levels) -> Patients | Doubt:
    """Return the patient of each unit, in their order, or why they cannot be told."""
    units = levels.units
    if len(units) < FEWEST_PATIENTS:
        return Patients(tuple(unit.plain for unit in units), "single files")  # too few to be split, whosever they are
    if not any(unit.folders for unit in units):
        stems, folders = [unit.stem for unit in units], [unit.name.rpartition("/")[0] for unit in units]
        doubt = Doubt(f"{_where(levels)}, and no part of their names repeats as a patient's number would")
        return named(stems) or by_column(stems, folders) or doubt
    numbered = named(["/".join(unit.folders) for unit in units], folders=True)
    return numbered or _by_folder(units)


def _are_classes(heads: set[str]) -> bool:
    """Return whether folders are classes: few, some named by a diagnosis, and none by a number."""
    if not 2 <= len(heads) <= FEW_FOLDERS or not any(map(is_class, heads)):
        return False
    return all(is_class(head) or is_unnumbered(head) for head in heads)


def _by_folder(units: Sequence[Unit]) -> Patients | Doubt:
    counts = Counter(unit.folders[0] for unit in units if unit.folders)
    doubt = _doubt(counts) or _shared_below(units) or _numbered_visits(counts)
    patients = without_visits(list(counts))
    if doubt or len(set(patients.values())) < FEWEST_PATIENTS:
        visits = all((is_visit(head) or is_study(head)) and not head.isdigit() for head in counts)
        return Doubt(doubt or f"{_folders(counts)} are fewer than {FEWEST_PATIENTS} patients", by_name=visits)
    owners = [patients[unit.folders[0]] if unit.folders else _owner(unit.stem, counts, patients) for unit in units]
    if None in owners:
        return Doubt(f"{_folders(counts)}, and {owners.count(None)} files in no folder")
    joined = len(set(patients.values())) < len(counts)
    return Patients(
        tuple(map(str, owners)), "the folders, several visits of one joined" if joined else "the folders, one each"
    )


def _doubt(counts: Counter[str]) -> str:
    """Return why the top folders may not be patients, or nothing."""
    if len(counts) <= FEW_FOLDERS and any(is_class(head) or is_split(head) for head in counts):
        return f"{_folders(counts)}, of which some are named like classes or splits"
    if all(map(is_study, counts)):
        return f"{_folders(counts)} are named like studies or series, of which a patient may have several"
    least = 1 if all(len(head) == 1 for head in counts) else FEW_IMAGES
    unnumbered = all(is_unnumbered(head) or len(head) == 1 for head in counts)
    if len(counts) <= FEW_FOLDERS and unnumbered and median(counts.values()) > least:
        return f"{_folders(counts)} may be classes or patients"
    return ""


def _shared_below(units: Sequence[Unit]) -> str:
    """Return a doubt where numbers as patients have them repeat below several top folders: 2019/P01 and 2020/P01.

    Of files, only below folders that may be visits, and with letters: 001.png is an image in many folders.
    """
    folders, files = dict[str, set[str]](), dict[str, set[str]]()
    people = named([unit.stem for unit in units])
    firsts = people.patients if people else [first_part(unit.stem) for unit in units]
    for unit, first in zip(units, firsts, strict=True):
        if len(unit.folders) > 1:
            folders.setdefault(unit.folders[1], set()).add(unit.folders[0])
        elif unit.folders:
            files.setdefault(first, set()).add(unit.folders[0])
    visits = all(is_visit(unit.folders[0]) for unit in units if unit.folders)
    patients = all(map(is_number, folders)) or (visits and names_something(folders) and not any(map(is_visit, folders)))
    if patients and (shared := _in_several(folders)):
        return f"{shared[0]} and {len(shared) - 1} other folders are below several top folders"
    if visits and (people or names_something(files)) and (shared := _in_several(files)):
        return f"{shared[0]} and {len(shared) - 1} others begin names of files in several top folders"
    return ""


def _in_several(above: Mapping[str, set[str]]) -> list[str]:
    return [name for name, heads in above.items() if len(heads) > 1]


def _numbered_visits(folders: Iterable[str]) -> str:
    """Return a doubt where several names are each followed by the same small numbers: `DOE J 1`, `DOE J 2`, `ROE R 1`.

    The number may be of a visit, or of a patient of a hospital or class.
    """
    matches = [match for folder in folders if (match := re.fullmatch(r"(\D*[^\W\d_])[-_. ]+(\d{1,2})", folder))]
    starts = Counter(match[1] for match in matches)
    several = [start for start, count in starts.items() if count > 1]
    if len(starts) < 2 or not several:
        return ""
    pair = [match[0] for match in matches if match[1] == several[0]][:2]
    return f"{pair[0]} and {pair[1]} may be visits of one patient or different patients"


def _owner(stem: str, folders: Counter[str], patients: dict[str, str]) -> str | None:
    """Return the patient of a file beside the patients' folders, if its name begins with one of theirs."""
    start = stem
    while start:
        if start in folders:
            return patients[start]
        start = start.rpartition("_")[0] or start.rpartition("-")[0]
    return None


def _where(levels: Levels) -> str:
    names = [unit.name.rpartition("/")[2] for unit in levels.units[:3]]
    files = f"{len(levels.units)} images ({', '.join(names)} ...)"
    classes = Counter(levels.labels.values())
    return f"{files} in {len(classes)} class folders ({shown(classes)})" if classes else f"{files} in one folder"


def _folders(counts: Counter[str]) -> str:
    return f"{len(counts)} folders ({shown(counts)})"


def shown(counts: Counter[str], show: int = 4) -> str:
    """Return names with counts, the first few: `NORMAL 1000, PNEUMONIA 1000`."""
    parts = [f"{name} {count}" for name, count in sorted(counts.items())]
    return ", ".join(parts[:show]) + (" ..." if len(parts) > show else "")
