"""From files to a cohort: read once, patient by patient, cached; then split."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.cohorts.cohort import assemble
from benchmark.cohorts.manifest import preparation_key
from benchmark.cohorts.splits import FRACTIONS, Rule
from benchmark.cohorts.store import PIXELS, Stored, finish, open_stored
from benchmark.cohorts.stream import read_all
from benchmark.cohorts.writer import Writer
from benchmark.contracts import Cohort, Dataset, HasRemarks, Source
from benchmark.errors import BadDataError, MachineError, MissingDataError
from benchmark.progress import progress
from benchmark.storage import replacing

Say = Callable[[str], None]


def to_stderr(text: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"{text}\n")


def prepare(
    name: str,
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    train_items: int | None = None,
    split: Rule = "patients",
    workers: int | None = None,
    say: Say = to_stderr,
) -> Cohort:
    """Read a data set into a cohort of patient-disjoint splits, or open it from the cache.

    Args:
        name: the data set's name.
        dataset: what lists and reads its sources.
        root: where its files lie.
        cache: where prepared items are kept, under cohorts/NAME-KEY.
        seed: orders the patients.
        fractions: shares of patients in train, calibration and test.
        train_items: use only so many training items, of the first patients.
        split: `patients`, or `official` for the published split.
        workers: reading threads; all cores by default.
        say: takes each line for the person at the keyboard.

    Raises:
        MissingDataError, BadDataError: files that are absent or cannot be used.
        UsageError: options that do not fit.
        MachineError: a full or read-only disk.
    """
    stored = prepare_items(name, dataset, root, cache, workers=workers, say=say)
    return assemble(name, dataset, stored, seed=seed, fractions=fractions, train_items=train_items, rule=split)


def prepare_items(
    name: str, dataset: Dataset, root: Path, cache: Path, *, workers: int | None = None, say: Say = to_stderr
) -> Stored:
    """Read all items of a data set, or open them from the cache. Arguments and errors as for `prepare`."""
    sources = dataset.sources(root)
    if not sources:
        raise MissingDataError(f"{root} holds no files of {name}", f"`bench datasets show {name}` says how it lies")
    remarks = dataset.remarks(root) if isinstance(dataset, HasRemarks) else {}
    key = preparation_key(dataset, sources, remarks, root)
    folder = cache / "cohorts" / f"{name}-{key}"
    with _locked(folder, say):
        stored = open_stored(folder)
        done = "cached" if stored else "prepared"
        if stored is None:
            _remove_leftovers(folder)
            _write(name, dataset, sources, remarks, folder, workers)
            stored = open_stored(folder)
    if stored is None:
        raise MachineError(f"{folder} was written but does not read back", "check this disk, or choose another cache")
    say(f"{name}: {done}, {len(stored.table)} items of {stored.table['subject'].nunique()} patients")
    for what, names in stored.remarks.items():
        say(f"{name}: {what}: {_shortened(names)}")
    return stored


def _write(
    name: str,
    dataset: Dataset,
    sources: Sequence[Source],
    remarks: Mapping[str, Sequence[str]],
    folder: Path,
    workers: int | None,
) -> None:
    spacings: set[tuple[float, ...]] = set()
    empty: list[str] = []
    with replacing(folder) as part:
        part.mkdir()
        with Writer(part / PIXELS, dataset.channels) as writer, progress(f"prepare {name}", len(sources)) as advance:
            for source, items in read_all(dataset, sources, workers=workers):
                writer.append(source, items)
                spacings.add(tuple(round(size, 4) for size in items.spacing_mm))
                empty += [source.name] * (len(items.names) == 0)
                advance()
        table = writer.table()
        if not len(table):
            raise BadDataError(f"none of the {len(sources)} sources of {name} gave an item", "check its options")
        spacing = spacings.pop() if len(spacings) == 1 else ()
        found = {what: list(names) for what, names in remarks.items()} | _own_remarks(empty, bool(spacings))
        finish(part, table, channels=dataset.channels, spacing_mm=spacing, remarks=found)


def _own_remarks(empty: list[str], mixed_spacing: bool) -> dict[str, list[str]]:
    remarks = {"left out, no item passes the recipe": empty} if empty else {}
    if mixed_spacing:
        remarks["pixel spacing differs between files, so none is recorded"] = []
    return remarks


@contextmanager
def _locked(folder: Path, say: Say) -> Iterator[None]:
    """Hold the lock of a cohort, waiting for another process that prepares it."""
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{folder.name}: another process prepares it, waiting")
            lock.acquire()
    except OSError as error:
        raise MachineError(f"{folder.parent} cannot be written: {error.strerror}", "choose another cache") from error
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left; the lock is ours, so nobody is writing."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _shortened(names: Sequence[str], show: int = 5) -> str:
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return ", ".join(names[:show]) + more
