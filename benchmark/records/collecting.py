"""Records from folders: those that can be used, and each of the others by name with the reason.

One broken record hides no other, and none is shown with a number that contradicts another record of the same run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.forks import each
from benchmark.core.progress import printable
from benchmark.records.record import Record

PATTERNS = ("**/record.json", "records/*.json")


@dataclass(frozen=True)
class Refused:
    """A file that is left out of boards."""

    path: Path
    reason: str
    """Why, printable."""

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


@dataclass(frozen=True)
class Gathered:
    """What folders hold."""

    records: dict[Path, Record]
    """Each run once, by its file, in the order of the files."""
    refused: tuple[Refused, ...]
    files: tuple[Path, ...] = ()
    """All that were looked at, copies too."""


def gather(places: Iterable[Path]) -> Gathered:
    """Read every record.json below these folders and every *.json in a `records` folder.

    Raises UsageError where there is none.
    """
    folders = list(places)
    paths = sorted({path for place in folders for pattern in _patterns(place) for path in place.glob(pattern)})
    if not paths:
        looked = ", ".join(str(place) for place in folders)
        raise UsageError(
            f"there is no record in {looked}", "run a model first: bench run --model ldm --data phantom-mr"
        )
    records, refused = read_records(paths)
    contradicting = conflicts(records)
    for conflict in contradicting:
        records.pop(conflict.path, None)
    refused += contradicting
    return Gathered(_each_once(records), tuple(refused), tuple(paths))


def _patterns(place: Path) -> tuple[str, ...]:
    return (*PATTERNS, "*.json") if place.absolute().name == "records" else PATTERNS


def collect(places: Iterable[Path]) -> list[Record]:
    """Return the records of `gather` alone. Raises UsageError where there is no file."""
    return list(gather(places).records.values())


def read_records(paths: Sequence[Path]) -> tuple[dict[Path, Record], list[Refused]]:
    """Read files; those that are no valid records, or were changed after their digest was written, are refused."""
    records: dict[Path, Record] = {}
    refused: list[Refused] = []
    for path in paths:
        try:
            records[path] = Record.read(path)
        except BadDataError as error:
            refused.append(Refused(path, printable(error.message.removeprefix(str(path)).lstrip(": "))))
    for path, unchanged in zip(list(records), each(_is_unchanged, list(records.values())), strict=True):
        if not unchanged:
            del records[path]
            refused.append(Refused(path, "the record was changed after its digest was written"))
    place = {path: number for number, path in enumerate(paths)}
    return records, sorted(refused, key=lambda one: place[one.path])


def _is_unchanged(record: Record) -> bool:
    return not record.digest or record.digest == record.content_digest


def conflicts(records: Mapping[Path, Record]) -> list[Refused]:
    """Return the records that contradict others: of one run with other scores, or of one cohort with other facts."""
    runs = _conflicting_runs(records)
    known = {one.path for one in runs}
    return runs + _conflicting_cohorts({path: record for path, record in records.items() if path not in known})


def run_of(record: Record) -> str:
    """Return text that is equal for records of one run: configuration, cohort and digests of what was measured."""
    return record.model_dump_json(include={"protocol", "spec", "cohort", "hashes"})


def _results_of(record: Record) -> str:
    return record.model_dump_json(include={"status", "reason", "scores", "replicates"})


def _conflicting_runs(records: Mapping[Path, Record]) -> list[Refused]:
    """Records of one run with different scores: nobody can tell which one was measured, so that none is shown."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, record in records.items():
        groups[run_of(record)].append(path)
    refused = []
    for paths in groups.values():
        gone = [path for path in paths if records[path].status == "retracted"]
        if gone:  # it stays on the board as such, whatever copies of it there are
            refused += [
                Refused(path, printable(f"it was retracted: {records[gone[0]].reason}"))
                for path in paths
                if path not in gone
            ]
            continue
        results = {path: _results_of(records[path]) for path in paths}
        for path in paths if len(set(results.values())) > 1 else ():
            other = next(one for one in paths if results[one] != results[path])
            refused.append(Refused(path, printable(f"it is of the same run as {other}, and has other scores")))
    return refused


def _conflicting_cohorts(records: Mapping[Path, Record]) -> list[Refused]:
    """Records whose cohort key is that of another cohort: the key is the digest of what the facts describe.

    What most records of the key say holds; where no description has the most, none of them is shown.
    """
    groups: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for path, record in records.items():
        groups[record.cohort.key, record.cohort.items["train"]].append(path)
    refused = []
    for (key, _), paths in groups.items():
        facts = {path: _cohort_of(records[path]) for path in paths}
        (usual, count), *rest = Counter(map(repr, facts.values())).most_common(2)
        tied = bool(rest) and rest[0][1] == count
        for path in paths:
            if tied or repr(facts[path]) != usual:
                other = next(one for one in paths if facts[one] != facts[path])
                name = next(name for name, value in facts[path].items() if value != facts[other][name])
                refused.append(Refused(path, printable(f"its cohort has the key {key} of {other}, and another {name}")))
    return refused


def _cohort_of(record: Record) -> dict[str, object]:
    """Return the facts that belong to a cohort's key; notes may differ."""
    facts = record.cohort.model_dump(exclude={"key", "notes"})
    return {**facts, "split": record.spec.split, "split seed": record.spec.split_seed}


def _each_once(records: dict[Path, Record]) -> dict[Path, Record]:
    unique: dict[str, Path] = {}
    for path, record in records.items():
        unique.setdefault(run_of(record), path)
    return {path: records[path] for path in unique.values()}
