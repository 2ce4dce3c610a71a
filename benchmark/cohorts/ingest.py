"""Read all items of a data set once, patient by patient, into the cache; or open what it holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmark.cohorts.cache_key import preparation_key
from benchmark.cohorts.guarded import remarks_of, sources_of
from benchmark.cohorts.ingest_log import LEFT_OUT, STRICT, Notes, outdated_limit
from benchmark.cohorts.parallel_read import Reading, read_all
from benchmark.cohorts.patient_ids import join_spellings
from benchmark.cohorts.store import PIXELS, Stored, finish, open_stored
from benchmark.cohorts.writer import Writer
from benchmark.core.content_digests import kept_in
from benchmark.core.errors import BadDataError, DamagedError, MachineError, MissingDataError
from benchmark.core.files import atomic_write
from benchmark.core.locks import held_for_cache
from benchmark.core.progress import Log, progress, to_stderr
from benchmark.core.types import Dataset, Source
from benchmark.images.readers.limits import limit_text

COMPARED_AT_ONCE = 1 << 30
"""Bytes of pixels up to which all are compared with their digests when they are opened, in less than a second; items of
larger cohorts are compared when they are read."""


def prepare_items(
    name: str,
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    strict: bool = False,
    workers: int | None = None,
    log: Log = to_stderr,
) -> Stored:
    """Read all items of a data set, or open them from the cache. Arguments and errors as for `prepare`."""
    sources, remarks, folder = list_sources(name, dataset, root, cache)
    with _locked(folder, log):
        stored = _open_intact(folder, log)
        done = "cached" if stored else "prepared"
        if stored is None:
            _remove_leftovers(folder)
            _write(name, dataset, sources, remarks, folder, workers, root)
            stored = open_stored(folder)
    if stored is None:
        raise MachineError(f"{folder} was written but does not read back", "check this disk, or choose another cache")
    log(f"{name}: {done}, {len(stored.table)} items of {stored.table['subject'].nunique()} patients")
    for what, names in stored.remarks.items():
        log(f"{name}: {what}: {_shortened(names)}" if names else f"{name}: {what}")
    if strict:
        _require_nothing_left_out(name, stored)
    return stored


def _open_intact(folder: Path, log: Log) -> Stored | None:
    """Open prepared items, all of which are compared with their digests where that takes no time; None where not."""
    stored = open_stored(folder)
    try:
        if stored and stored.pixels.nbytes <= COMPARED_AT_ONCE:
            stored.pixels.check()  # type: ignore[attr-defined]  # they come from disk
    except DamagedError as error:
        log(error.message)
        return None
    if stored and (limited := outdated_limit(stored.remarks)):
        log(f"{folder.name}: {limited}, and the limit is now {limit_text()}: all items are prepared again")
        return None
    if stored is None and folder.exists():
        log(f"{folder} is not as it was written: all items are prepared again")
    return stored


def list_sources(
    name: str, dataset: Dataset, root: Path, cache: Path, *, save: bool = True
) -> tuple[Sequence[Source], Mapping[str, Sequence[str]], Path]:
    """Return the sources of a data set, its remarks, and the folder of the cache for their items.

    Every file is read once for its digest, which the cache remembers unless `save` is false; no image is decoded.
    Raises MissingDataError where there are none, or where a file is gone.
    """
    sources, remarks = patient_sources(name, dataset, root)
    key = preparation_key(dataset, sources, remarks, root, kept=kept_in(cache, root), save=save)
    return sources, remarks, cache / "cohorts" / f"{name}-{key}"


def patient_sources(name: str, dataset: Dataset, root: Path) -> tuple[Sequence[Source], Mapping[str, Sequence[str]]]:
    """Return the sources of a data set and its remarks, by the names of its files. Raises MissingDataError."""
    sources = sources_of(name, dataset, root)
    if not sources:
        raise MissingDataError(f"{root} holds no files of {name}", f"`bench datasets show {name}` says how it lies")
    # Before the key, the split and the search for duplicates: all of these go by patient.
    return join_spellings(sources, remarks_of(name, dataset, root))


def prepared_folder(name: str, dataset: Dataset, root: Path, cache: Path) -> Path | None:
    """Return the folder of a cache for the items of a data set; None where nothing was prepared from there.

    Writes nothing. Files that have not changed since they were prepared are not read. Raises as `list_sources`.
    """
    if not kept_in(cache, root).exists():
        return None
    return list_sources(name, dataset, root, cache, save=False)[2]


def _write(
    name: str,
    dataset: Dataset,
    sources: Sequence[Source],
    remarks: Mapping[str, Sequence[str]],
    folder: Path,
    workers: int | None,
    root: Path,
) -> None:
    notes = Notes(remarks)
    with atomic_write(folder) as part:
        part.mkdir()
        with Writer(part / PIXELS, dataset.channels) as writer, progress(f"prepare {name}", len(sources)) as advance:
            for reading in read_all(dataset, sources, workers=workers, root=root):
                _append(writer, reading, notes)
                advance()
        notes.require_most(len(sources))
        table = writer.table()
        if not len(table):
            raise BadDataError(f"none of the {len(sources)} sources of {name} gave an item", "check its options")
        finish(
            part,
            table,
            notes.table(),
            channels=dataset.channels,
            spacing_mm=notes.spacing_mm,
            remarks=notes.remarks(),
        )
        if not folder.name.endswith(preparation_key(dataset, sources, remarks, root)):
            raise BadDataError(f"files of {name} have changed while they were read", "run the same command again")


def _append(writer: Writer, reading: Reading, notes: Notes) -> None:
    """Write the items of a source, or note why it has none."""
    error = reading.error
    if reading.items is not None:
        try:
            writer.append(reading.source, reading.items)
        except BadDataError as misfit:
            error = misfit
    notes.add(reading, error)


def _require_nothing_left_out(name: str, stored: Stored) -> None:
    for what, names in stored.remarks.items():
        if what.startswith(STRICT):
            used = "the rest is used" if what.startswith(LEFT_OUT) else "they are used as it says"
            raise BadDataError(
                f"{name}: {what}: {_shortened(names)}", f"repair or remove these, or leave --strict out: {used}"
            )


@contextmanager
def _locked(folder: Path, log: Log) -> Iterator[None]:
    """Hold the lock of a cohort, waiting for another process that prepares it."""
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                held_for_cache(
                    folder.parent / f".{folder.name}.lock",
                    waiting=lambda: log(f"{folder.name}: another process prepares it, waiting"),
                )
            )
        except OSError as error:
            raise MachineError(
                f"{folder.parent} cannot be written: {error.strerror}", "choose another cache"
            ) from error
        yield


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left; the lock is ours, so nobody is writing."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _shortened(names: Sequence[str], show: int = 5) -> str:
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return ", ".join(names[:show]) + more
