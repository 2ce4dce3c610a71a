"""Patients from the names of files: a part that looks like a patient's number and repeats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .words import VIEWS, VISIT_WORDS, is_class, is_date, is_site, is_study, is_view, is_visit

FEWEST_PATIENTS = 3
"""Train, calibration and test need one each."""
REPEATED = 0.05
"""Share of the files that must share their number with another file: a few repeats among thousands are chance."""
INDEX_WORDS = VISIT_WORDS | frozenset(
    ("slice", "sl", "img", "image", "im", "frame", "z", "page", "patch", "tile", "crop", "roi", "aug", "view", "no",
     "nr", "num", "idx", "file", "pic", "photo", "capture", "plane", "vol", "volume", "stack", "bild", "ct", "mr",
     "mri", "pet")
)  # fmt: skip
"""Words before the number of an image, a volume or a visit, of which a patient may have several."""
PERSON_WORDS = frozenset(
    ("patient", "pat", "subject", "subj", "sub", "participant", "proband", "person", "case", "p", "s")
)
"""Words that say nobody in particular without a number."""
UID = re.compile(r"\d+(\.\d+){3,}")


@dataclass(frozen=True)
class Patients:
    """Who is the patient of each name."""

    patients: tuple[str, ...]
    """One per name."""
    basis: str
    """What they were read from, in words that hold no name."""


_PUBLISHED = (
    r"(?<![A-Za-z0-9])sub-[A-Za-z0-9]+",  # BIDS
    r"(?<![0-9])\d{3}_S_\d{4,5}(?![0-9])",  # ADNI
    r"TCGA-[A-Za-z0-9]{2}-[A-Za-z0-9]{4}",
    r"LIDC-IDRI-\d{4}",
    r"OAS\d_\d{4}|OAS3\d{4}",
    r"BraTS-[A-Za-z]+-\d{5}",
    r"(?<![A-Za-z0-9])p\d{8}(?![0-9])",  # MIMIC-CXR
    r"(?<![A-Za-z0-9])IXI\d{3}(?![0-9])",
    r"P_\d{5}(?=_(?:LEFT|RIGHT))",  # CBIS-DDSM: a patient may be among the masses and among the calcifications
)
_WORDS = (r"(?<![A-Za-z])(?:patient|pat|subject|subj|participant|proband)(?:[-_ ]?id)?[-_ ]?\d+(?![0-9])",)
_FIRST_WORDS = (r"^(?:person|case|pid)[-_ ]?\d+(?![0-9])",)  # P001_case2 is the second case of P001
_KERMANY = (r"(?:NORMAL2-)?IM-\d{4}(?=-\d{4})",)
_FOLDER_ID = re.compile("|".join(_PUBLISHED + _WORDS + _FIRST_WORDS), re.IGNORECASE)
_FILE_ID = re.compile("|".join(_PUBLISHED + _WORDS + _FIRST_WORDS + _KERMANY), re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_. ]+")
_WRITTEN_DATE = re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})[-_.]([01][0-9])[-_.]([0-3][0-9])(?![0-9])")
"""A date is one part of a name: 2020-01-31."""
_TOKEN = re.compile(r"([A-Za-z]*)(\d+)[A-Za-z]?")


def named(paths: Sequence[str], *, folders: bool = False) -> Patients | None:
    """Return the patients that every path names by a published kind of number, or by a word such as patient or case.

    The leftmost match counts: names go from the general to the special, so that it joins at worst.
    """
    matches = [(_FOLDER_ID if folders else _FILE_ID).search(path) for path in paths]
    patients = tuple(match[0] for match in matches if match)
    if len(patients) < len(paths) or len(set(patients)) < FEWEST_PATIENTS:
        return None
    return Patients(patients, f"their numbers in the names of the {'folders' if folders else 'files'}")


def by_column(stems: Sequence[str], folders: Sequence[str]) -> Patients | None:
    """Return the patients by the leftmost part of the names that varies, if it can only be a patient's number.

    Parts end at `_ - .` or a space. Parts that are equal everywhere, words of views and diagnoses, and numbers of sites
    are skipped. The first other part must be a number that repeats; the number of an image, a visit, a date or a word
    stops the search, and so does a later part that looks more like the patient. Taking the leftmost is safe otherwise:
    names go from the general to the special, so it may join patients (a hospital's number), which loses some images for
    training, but does not put one patient in two splits. The number must repeat within a folder: NORMAL/001 and
    PNEUMONIA/001 are the first image of each class, which tells nothing.
    """
    if any(map(UID.search, stems)):  # a DICOM UID numbers a study, a series or an image
        return None
    rows = [_SEPARATORS.split(_WRITTEN_DATE.sub(r"\1\2\3", stem)) for stem in stems]
    before = ""
    for column in range(min(map(len, rows))):
        values = [row[column] for row in rows]
        distinct = set(values)
        if len(distinct) == 1:
            before = values[0]
        elif not all(is_view(value) or is_class(value) or is_site(value) for value in distinct):
            repeats = _repeats(list(zip(folders, values, strict=True)), distinct)
            patients = _numbers(values, before.lower()) if repeats and not _is_behind(rows, column) else None
            return Patients(patients, _place(stems, column)) if patients else None
    return None


def _is_behind(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Return whether a later part looks more like the patient, as in S1_P034 and 02_0034: the part may be a visit."""
    first = {row[column] for row in rows}
    later = [{row[place] for row in rows} for place in range(column + 1, min(map(len, rows)))]
    visits, weak = all(map(is_visit, first)), not numbers_someone(first)
    later = [values for values in later if len(values) >= len(first) + (not visits)]
    return any((visits and names_something(values)) or (weak and numbers_someone(values)) for values in later)


def first_part(stem: str) -> str:
    """Return the first part of a file's name that is no view or class."""
    parts = [part for part in _SEPARATORS.split(stem) if part]
    return next((part for part in parts if not (is_view(part) or is_class(part))), stem)


def names_something(values: Collection[str]) -> bool:
    """Return whether all parts are letters with a number that are no image, view, visit or class, such as K034."""
    matches = [_TOKEN.fullmatch(value) for value in values]
    return all(match and match[1] for match in matches) and not may_be_images(list(values))


def numbers_someone(values: Collection[str]) -> bool:
    """Return whether all parts are numbers as patients have them: of three digits, or behind P or such a word."""
    matches = [_TOKEN.fullmatch(value) for value in values]
    words = [(match[1].lower(), match[2]) for match in matches if match]
    if len(words) < len(matches) or may_be_images(list(values)):
        return False
    return all(word in PERSON_WORDS - {"s"} or len(digits) > 2 for word, digits in words)


def _numbers(values: list[str], before: str) -> tuple[str, ...] | None:
    """Return the parts as patients, unless they may be numbers of images or classes, dates or words."""
    matches = {value: _TOKEN.fullmatch(value) for value in set(values)}
    words = {match[1].lower() for match in matches.values() if match}
    if not all(matches.values()) or may_be_images(list(matches)) or ("" in words and before in INDEX_WORDS):
        return None
    if all(len(value) == 1 for value in matches):
        return None
    if len(words) > 1 and all(word in VIEWS or is_class(word) for word in words):
        # left001 and right001 are one patient.
        return tuple(match[2] for value in values if (match := matches[value]))
    return tuple(values)


def may_be_images(values: Sequence[str]) -> bool:
    """Return whether different parts of names are views or classes, dates, or numbers of images and visits."""
    matches = [_TOKEN.fullmatch(value) for value in values]
    words = {match[1].lower() for match in matches if match}
    views = all(is_view(value) or is_class(value) for value in values) or all(map(is_study, values))
    return views or bool(words & INDEX_WORDS) or 2 * sum(map(is_date, values)) > len(values)


def _repeats(placed: Sequence[tuple[str, str]], distinct: set[str]) -> bool:
    shared = sum(count for count in Counter(placed).values() if count > 1)
    return len(distinct) >= FEWEST_PATIENTS and shared >= REPEATED * len(placed)


def _place(stems: Sequence[str], column: int) -> str:
    if column:
        return f"part {column + 1} of the names of the files"
    separator = next(filter(None, (re.search(r"[-_. ]", stem) for stem in stems)), None)
    return f"the names of the files{f' up to the first {separator[0]!r}' if separator else ''}"


def without_visits(folders: Sequence[str]) -> dict[str, str]:
    """Map names of folders to patients: folders that differ only by a visit, a scan or a side are one patient's."""
    prefixes = {folder: _without_visit(folder) for folder in folders}
    shared = Counter(prefixes.values())
    return {folder: prefix if shared[prefix] > 1 else folder for folder, prefix in prefixes.items()}


def _without_visit(folder: str) -> str:
    """Return the shortest beginning that only a visit follows: OAS1_0001 of OAS1_0001_MR1, DOE_J of DOE_J_20240131."""
    for separator in re.finditer(r"[-_. ]+|(?<=\d)(?=[A-Za-z]$)", folder):
        start, tail = folder[: separator.start()], folder[separator.end() :]
        if not separator[0] or (is_visit(tail) and _names_someone(start, tail)):
            return start
    return folder


def _names_someone(start: str, tail: str) -> bool:
    """Return whether a beginning may be a patient: with a number, or a name that a date or a numbered visit follows."""
    if re.search(r"\d", start):
        return True
    return start.lower() not in PERSON_WORDS and not re.fullmatch(r"\d{1,2}|[A-Za-z]\d*", tail)
