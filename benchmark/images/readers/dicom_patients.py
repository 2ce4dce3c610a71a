"""Which DICOM files are of one patient, one study, one series: by their tags, as numbers that stand for no value.

PatientID, StudyInstanceUID and SeriesInstanceUID are compared with each other and forgotten: they are not returned, not
stored, and in no message. Numbers count in the order of the files, so that no value has an influence on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from benchmark.images.readers.beginning import beginning
from benchmark.images.readers.dicom import UNREADABLE

TAGS = (0x00100020, 0x0020000D, 0x0020000E)
"""PatientID, StudyInstanceUID, SeriesInstanceUID."""

_Stamp = tuple[Path, int, int]
"""A file, its size in bytes and its time of change in ns."""


class Owner(NamedTuple):
    """Numbers of the patient, the study and the series of a file, from 1; 0 where the file does not say it."""

    patient: int
    study: int
    series: int


def owners(paths: Sequence[Path], canonical: Callable[[str], str]) -> tuple[Owner, ...]:
    """Return the numbers of each file.

    `canonical` returns what all spellings of a PatientID share, and an empty text where it names nobody.
    """
    return _owners(tuple(map(_stamp, paths)), canonical)


def _stamp(path: Path) -> _Stamp:
    try:
        state = path.stat()
    except OSError:
        return path, 0, 0
    return path, state.st_size, state.st_mtime_ns


@lru_cache(maxsize=2)  # the sources and the remarks of a data set both need them; only numbers are kept
def _owners(stamps: tuple[_Stamp, ...], canonical: Callable[[str], str]) -> tuple[Owner, ...]:
    known: tuple[dict[str, int], ...] = ({}, {}, {})

    def number(kind: int, value: str) -> int:
        return known[kind].setdefault(value, len(known[kind]) + 1) if value else 0

    result = []
    for path, _, _ in stamps:
        patient, study, series = _tags(path)
        result.append(Owner(number(0, canonical(patient)), number(1, study), number(2, series)))
    return tuple(result)


def _tags(path: Path) -> list[str]:
    """Read the three tags, and no further; empty texts where the file cannot be read."""
    try:
        with path.open("rb") as file:
            header = read_partial(beginning(file), _is_behind, force=True)
        return [str(header[tag].value or "").strip() if tag in header else "" for tag in TAGS]
    except UNREADABLE:
        return [""] * len(TAGS)  # whoever reads the pixels says what is wrong with it


def _is_behind(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) > TAGS[-1] or not int(tag)  # a file of zeros would be read as empty tags to its end
