"""Records that are submitted: one run's, checked and copied; a folder of them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.core.errors import BadDataError, MissingDataError
from benchmark.core.processes import run_in_processes
from benchmark.core.progress import printable, to_stderr
from benchmark.core.types import chunks
from benchmark.evaluation.validation import faults
from benchmark.evaluation.verification import first_difference
from benchmark.records.collecting import Refused, conflicts, read_records
from benchmark.records.record import Record

NOT_BOTH = (
    "publish this record or the synthetic images of its run, not both: whoever has both and an image of a patient can "
    "guess whether the patient was in training, the better the fewer patients the cohort has and the more of its runs "
    "are published (docs/protocol.md, Receipts)"
)
TOGETHER = 32
"""Records that a worker process takes at a time."""
FEW = 128
"""Up to so many are checked without worker processes, whose start takes longer."""


def submit(folder: Path, out: Path) -> Path:
    """Copy a run's record to `out` under the name of its digest. Raises MissingDataError, BadDataError."""
    path = folder / "record.json"
    if not path.exists():
        raise MissingDataError(f"{folder} has no record.json", "give the folder of a finished run: bench runs list")
    record = Record.read(path)
    if not record.digest or (record.status == "done" and not record.receipts):
        raise BadDataError(
            f"{path} has no receipt: another version wrote it", f"evaluate the run again: bench evaluate {folder}"
        )
    if wrong := list(faults(record)):
        raise BadDataError(f"{path} cannot be submitted: {'; '.join(wrong)}", "see leaderboards/RULES.md")
    target = out / file_of(record)
    record.submit(target)
    if record.receipts:
        to_stderr(f"submit: {NOT_BOTH}")
    return target


def checked_records(paths: Sequence[Path]) -> list[Record]:
    """Read records whose digest and headline their own content gives again. Raises BadDataError naming the file."""
    records = []
    for path in paths:
        record = Record.read(path)
        if difference := first_difference(record):
            raise BadDataError(f"{path} cannot be used: {difference}", "evaluate the run again: bench evaluate RUN")
        records.append(record)
    return records


def file_of(record: Record) -> str:
    """Return the name of a record's file: two records have one name only where they are the same."""
    return f"{record.cohort.key}-{record.digest}.json"


def validate(folder: Path) -> tuple[int, list[Refused]]:
    """Check all records of a folder and return how many are valid, and the others with the first reason.

    Raises MissingDataError where there is none.
    """
    paths = sorted({*folder.glob("*.json"), *folder.glob("**/record.json")})
    if not paths:
        raise MissingDataError(f"there is no record in {folder}", "submit one: bench leaderboard submit RUN")
    records, refused = read_records(paths)
    refused += conflicts(records)
    known = {one.path for one in refused}
    refused += _checked({path: record for path, record in records.items() if path not in known})
    return len(paths) - len({one.path for one in refused}), sorted(refused, key=lambda one: one.path)


def _checked(records: dict[Path, Record]) -> list[Refused]:
    if len(records) <= FEW:
        return [one for path, record in records.items() if (one := _check(path, record))]
    paths = list(records)
    parts = [(paths[part],) for part in chunks(len(paths), TOGETHER)]
    return [one for part in run_in_processes(check_all, parts, label="validate") for one in part]


def check_all(paths: list[Path]) -> list[Refused]:
    """Return which of these records are refused, and why; each is read again, since a process is told paths alone."""
    refused = []
    for path in paths:
        try:
            one = _check(path, Record.read(path))
        except BadDataError as error:
            one = Refused(path, printable(error.message))
        refused += [one] if one else []
    return refused


def _check(path: Path, record: Record) -> Refused | None:
    wrong = next(faults(record), "")
    return Refused(path, printable(wrong)) if wrong else None
