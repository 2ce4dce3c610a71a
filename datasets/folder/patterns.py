"""The option group_pattern: what it means, which patients it finds, and which one to propose."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.options import require_pattern

from .layout import Doubt, Unit
from .names import FEWEST_PATIENTS, UID, may_be_images, numbers_someone
from .words import is_class, is_container, is_split, is_view

NONE = "none"
"""Each file, or each folder of a series, is a patient of its own: the user's word for it."""
PATIENT_ID, STUDY_ID = "patient-id", "study-id"
"""Each PatientID, or each StudyInstanceUID, of DICOM files is a patient."""
_FOLDER = re.compile(r"folder(?::(-?[1-9]\d*))?")
_SEPARATORS = "_- "
_PROPOSALS = (
    "[0-9]{4}[-_.][0-9]{2}[-_.][0-9]{2}[-_. ]+([^-_. /]+)[^/]*$",
    *(f"([^/{mark}]+){mark}[^/]*$" for mark in _SEPARATORS),
    *(f"[^/{mark}]+{mark}([^/{mark}]+){mark}[^/]*$" for mark in _SEPARATORS),
    *(f"(?:[^/{mark}]+{mark}){{2}}([^/{mark}]+){mark}[^/]*$" for mark in _SEPARATORS),
    *(f"([^/.{mark}]+)(?:[.]nii)?[.][^/.]*$" for mark in _SEPARATORS),
    "([A-Za-z]*[0-9]+)[^/]*$",
)
"""Tried in this order on paths: of a file's name the part behind a date, the first, second, third and last part, and
the first number."""
_VISITS = "([^/]*[^-_. 0-9/])[-_. ]+[0-9]{1,2}(?:/|$)"
"""A folder's name up to the number at its end: DOE J of `DOE J 1`."""
_TOP = "^([^/._]+)"
"""The top folder, or the beginning of the name of a file that is in no folder."""


def require_group_pattern(text: str) -> None:
    """Raise UsageError where the option is neither `none`, `folder`, `folder:N` nor a regular expression."""
    if re.fullmatch(r"folder:.*", text) and not _FOLDER.fullmatch(text):
        raise UsageError(
            f"group_pattern {text!r} counts no folder", "write folder:1 for the topmost, folder:-1 for the innermost"
        )
    require_pattern("group_pattern", text, "(P[0-9]+)_")


def patients_by(pattern: str, units: Sequence[Unit]) -> list[str]:
    """Return the patient of each unit. Raises BadDataError where the pattern finds none."""
    if pattern == NONE:
        return [unit.plain for unit in units]
    level = _FOLDER.fullmatch(pattern)
    if level:
        return [_folder(unit, int(level[1] or 1), pattern) for unit in units]
    return [_matched(unit.name, pattern) for unit in units]


def oddity(pattern: str, patients: Sequence[str]) -> str:
    """Return a remark where each image is a patient of its own, or all are one patient's; else nothing."""
    if pattern == NONE:
        return "each image counts as a patient of its own: group_pattern is none"
    distinct = len(set(patients))
    if len(patients) > 1 and distinct == 1:
        return "group_pattern finds one patient for all images"
    if len(patients) > 1 and distinct == len(patients):
        return "group_pattern finds another patient for each image"
    return ""


def question(root: object, doubt: Doubt, units: Sequence[Unit], *, by_name: bool) -> UsageError:
    """Return the refusal of a folder whose patients cannot be told, with the answers that would do.

    `by_name` proposes parts of the names of files, which tell nothing where folders may be patients.
    """
    folders = [*doubt.answers, *_folder_answers(units)]
    # Files 1, 2, 3 in P1 and in P2 are no patients; folders without a number may be classes.
    by_name = (
        by_name or doubt.by_name or not (folders or any(re.search("[0-9]", "".join(unit.folders)) for unit in units))
    )
    proposed = [*folders, *(_name_answer(units) if by_name else [])] or [
        "--set-data table=FILE with columns file and patient"
    ]
    single = ["--group-pattern none if each image is of another patient"] if len(units) >= FEWEST_PATIENTS else []
    # Where every proposal finds another patient for each image, the plainer answer comes first.
    alone = all(f" for the {len(units)} patients " in one for one in proposed)
    answers = [*single, *proposed] if alone else [*proposed, *single]
    return UsageError(
        f"it cannot be told which images of {root} are of one patient: {doubt.reason}",
        "which fits? " + "; ".join(answers),
    )


def _folder(unit: Unit, level: int, pattern: str) -> str:
    place = level - 1 if level > 0 else level
    if not -len(unit.folders) <= place < len(unit.folders):
        raise BadDataError(
            f"group_pattern {pattern} finds no folder for {unit.name}, which is in {len(unit.folders)} folders",
            "choose another level, or choose --set-data ending",
        )
    # Folders of one name in two places are one patient: joining is the safe side.
    return unit.folders[place]


def _matched(name: str, pattern: str) -> str:
    match = re.search(pattern, name)
    patient = match and (match[1] if match.re.groups else match[0])
    if not patient:
        raise BadDataError(
            f"group_pattern {pattern!r} finds no patient in {name}", "widen it, or choose --set-data ending"
        )
    return patient


def _folder_answers(units: Sequence[Unit]) -> list[str]:
    """Propose the levels of folders that every image has and that give enough patients."""
    if any(unit.folders for unit in units) and not all(unit.folders for unit in units):
        patients, _ = _found(_TOP, [unit.name for unit in units])
        return [_answer(_TOP, patients)] if len(patients) >= FEWEST_PATIENTS else []
    levels = range(min(len(unit.folders) for unit in units))
    choices = [(level + 1, list(dict.fromkeys(unit.folders[level] for unit in units))) for level in levels]
    choices = [(level, folders) for level, folders in choices if not all(map(_is_no_patient, folders))]
    answers = [_answer(f"folder:{level}", folders) for level, folders in choices if len(folders) >= FEWEST_PATIENTS]
    without_number, _ = _found(_VISITS, [unit.name for unit in units])
    several = len(without_number) >= FEWEST_PATIENTS and not all(map(_is_no_patient, without_number))
    return [*([_answer(_VISITS, without_number)] if several else []), *answers][:2]


def _is_no_patient(folder: str) -> bool:
    return is_class(folder) or is_view(folder) or is_split(folder) or is_container(folder)


def _name_answer(units: Sequence[Unit]) -> list[str]:
    """Propose the pattern that fits all names and joins some of one folder; else the first that fits all."""
    names = [unit.name for unit in units if unit.stem]
    if len(names) < len(units) or any(map(UID.search, names)):
        return []
    choices = [(pattern, *_found(pattern, names)) for pattern in _PROPOSALS]
    fitting = [choice for choice in choices if len(choice[1]) >= FEWEST_PATIENTS]
    fitting = [choice for choice in fitting if not all(map(_is_no_patient, choice[1]))]
    likely = [choice for choice in fitting if not may_be_images(choice[1])]
    joining = [choice for choice in (*likely, *fitting) if choice[2]]
    best = (joining or fitting)[:1]
    # Of a visit or a site before a patient's number (S1_P034), both are proposed.
    stronger = [choice for choice in joining if best and not numbers_someone(best[0][1]) and numbers_someone(choice[1])]
    return [_answer(pattern, patients) for pattern, patients, _ in (*best, *stronger[:1])]


def _found(pattern: str, names: Sequence[str]) -> tuple[list[str], bool]:
    """Return the different patients that a pattern finds, none where it misses a name, and whether a folder has two
    images of one: only that shows that the part is no number of images.
    """
    search = re.compile(pattern).search
    placed: dict[tuple[str, str], None] = {}
    for name in names:
        match = search(name)
        if match is None:
            return [], False
        placed[name.rpartition("/")[0], match[1]] = None
    return list(dict.fromkeys(patient for _, patient in placed)), len(placed) < len(names)


def _answer(pattern: str, patients: Sequence[str]) -> str:
    # The first patients are shown because a pattern that fits may still name something else, such as slices.
    given = f"'{pattern}'" if pattern.startswith(("(", "[", "^")) else pattern
    return f"--group-pattern {given} for the {len(patients)} patients {', '.join(patients[:2])} ..."
