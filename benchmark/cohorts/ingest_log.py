"""What was seen while the sources of a data set were read: what was left out, how files lay, their digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from benchmark.cohorts.parallel_read import Reading
from benchmark.core.errors import BadDataError
from benchmark.images.readers.image import IN_DOUBT
from benchmark.images.readers.limits import TooLargeError, limit_text

LEFT_OUT = "left out"
STRICT = (LEFT_OUT, IN_DOUBT)
"""How remarks start that `--strict` refuses."""
UNREADABLE = f"{LEFT_OUT}, could not be used"
TOO_LARGE = f"{LEFT_OUT}, larger than --max-source-gib"
EMPTY = f"{LEFT_OUT}, no item passes the recipe"
UNUSABLE = (
    UNREADABLE,
    TOO_LARGE,
    f"{LEFT_OUT}, folders and files that cannot be opened",
    f"{LEFT_OUT}, links to files that do not exist",
    f"{LEFT_OUT}, folders and files whose names are not UTF-8",
)
"""How remarks start on what nobody could read, as opposed to what an option or the data set leaves out."""
MIXED_SPACING = "pixel spacing differs between files, so none is recorded"
COLUMNS = ("source", "subject", "items", "spacing_mm", "orientation", "file", "bytes", "sha256", "beside")
TOLERATED = 0.5
"""Share of the sources that may be unusable before the whole folder is refused."""


class Notes:
    """Collects one row per file, and remarks with the names they are about."""

    def __init__(self, remarks: Mapping[str, Sequence[str]]) -> None:
        self._remarks = {what: list(names) for what, names in remarks.items()}
        self._rows: list[tuple[object, ...]] = []
        self._spacings: set[tuple[float, ...]] = set()
        self._errors: list[BadDataError] = []

    def add(self, reading: Reading, error: BadDataError | None) -> None:
        """Note what became of a source."""
        source, items = reading.source, reading.items
        if error is not None or items is None:
            assert error is not None
            self._errors.append(error)
            what = too_large() if isinstance(error, TooLargeError) else UNREADABLE
            self._remark(what, f"{source.name} ({error.message})")
            return
        spacing = tuple(round(size, 4) for size in items.spacing_mm)
        self._spacings.add(spacing)
        if not items.names:
            self._remark(EMPTY, source.name)
        for what, name in items.remarks:
            self._remark(what, name)
        seen = (" x ".join(f"{size:g}" for size in spacing), items.orientation)
        for file in reading.files:
            row = (source.name, source.subject, len(items.names), *seen, file.path, file.size, file.sha256, file.beside)
            self._rows.append(row)

    def require_most(self, sources: int) -> None:
        """Raise the first error where most sources cannot be used: then the folder is wrong, not a file."""
        if len(self._errors) > TOLERATED * sources:
            first = self._errors[0]
            if len(self._errors) == 1:
                raise first
            raise BadDataError(
                f"{len(self._errors)} of {sources} sources cannot be used, the first: {first.message}", first.hint
            )

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The spacing of all items, or nothing where they differ."""
        return next(iter(self._spacings)) if len(self._spacings) == 1 else ()

    def remarks(self) -> dict[str, list[str]]:
        """Return what was noted, with the names."""
        return self._remarks | ({MIXED_SPACING: []} if len(self._spacings) > 1 else {})

    def table(self) -> pd.DataFrame:
        """Return one row per file that was read."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS))

    def _remark(self, what: str, name: str) -> None:
        self._remarks.setdefault(what, []).append(name)


def too_large() -> str:
    """Return the remark on what the present limit leaves out."""
    return f"{TOO_LARGE} ({limit_text()})"


def outdated_limit(remarks: Iterable[str]) -> str:
    """Return the remark on what another limit than the present one has left out; empty where there is none."""
    return next((what for what in remarks if what.startswith(TOO_LARGE) and what != too_large()), "")


def count_unusable(notes: Iterable[str]) -> int:
    """Return how many files or folders could not be read, from the notes of a cohort (`remark: count`)."""
    return sum(int(note.rpartition(": ")[2]) for note in notes if note.startswith(UNUSABLE))
