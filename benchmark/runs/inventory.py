"""Run folders and the cache on this disk: what there is, how much it takes, and what may go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.cohorts.ingest import prepared_folder
from benchmark.cohorts.locate import locate
from benchmark.core.errors import BadDataError, BenchError, MachineError, UsageError
from benchmark.core.files import read_json
from benchmark.core.source_digest import remembered_digests
from benchmark.core.stages import LOCK, STATUS, read_status
from benchmark.core.types import Embedded
from benchmark.detectors.fitting import detector_folder
from benchmark.runs.config import Resolved, RunConfig, resolve
from benchmark.runs.run_folders import CONFIG, RECORD, read_run, require_run_folder, written
from benchmark.runs.sweeps.estimate import folder_bytes

CHECKPOINT = "training.pt"
"""What a training resumes from: of no use once the training is finished."""
PARTS = ("fit", "samples", "figures")
RESUMABLE = ("unfinished", "interrupted", "failed")
"""States of runs that have no result yet."""


@dataclass(frozen=True)
class RunEntry:
    """One run folder."""

    folder: Path
    config: RunConfig | None
    """None where run.toml is unreadable, or was changed after the run."""
    state: str
    """`done`, `declined`, `failed`, `interrupted` (by a signal), `unfinished`, `running`: a process works on it, or
    `damaged`: its status or its record was changed."""
    error: str
    bytes: int
    """Disk space of its files; a model that several runs share counts in each."""
    changed: float
    """When its state last changed, in seconds since 1970."""


@dataclass(frozen=True)
class Removable:
    """A file or folder that may go."""

    path: Path
    why: str
    bytes: int


def run_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders at or below a folder, in the order of their names."""
    for place, below, names in os.walk(root):
        if CONFIG in names:
            yield Path(place)
            below.clear()
        below.sort()


def list_runs(root: Path) -> list[RunEntry]:
    """Return the run folders at or below a folder."""
    return [read_entry(folder) for folder in run_folders(root)]


def read_entry(folder: Path) -> RunEntry:
    """Return what a run folder says of itself. Raises UsageError for what is no run folder."""
    require_run_folder(folder)
    state, error = _state(folder)
    try:
        config = RunConfig.of(read_run(folder), str(folder / CONFIG))
    except BenchError as unreadable:  # one such folder must not hide the others
        config, error = None, error or unreadable.message
    status = folder / "status.json"
    changed = (status if status.exists() else folder / CONFIG).stat().st_mtime
    return RunEntry(folder, config, state, error, folder_bytes(folder), changed)


def part_bytes(folder: Path) -> dict[str, int]:
    """Return the disk space of the parts of a run folder."""
    parts = {name: folder_bytes(folder / name) for name in PARTS}
    return parts | {"tables and others": folder_bytes(folder) - sum(parts.values())}


def is_locked(folder: Path) -> bool:
    """Whether a process of this machine works on a run folder."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def remove_runs(folders: Iterable[Path], root: Path) -> None:
    """Remove run folders, and the folders above them, up to `root`, that are then empty.

    Raises UsageError for what is no run folder, MachineError where a process works on one: then none is removed.
    """
    chosen = list(folders)
    for folder in chosen:
        require_run_folder(folder)
        if is_locked(folder):
            raise MachineError(f"a process is working on {folder}", "stop it first, or wait for it")
    for folder in chosen:
        shutil.rmtree(folder)
        _remove_empty(folder.parent, root)


def removable(root: Path, cache: Path) -> list[Removable]:
    """Return what may go without a finished result being lost, and why."""
    entries = list_runs(root)
    unfinished = [
        Removable(entry.folder, f"{entry.state} run: it would resume", entry.bytes)
        for entry in entries
        if entry.state in RESUMABLE
    ]
    checkpoints = [
        Removable(path, "checkpoint of a finished training", path.stat().st_size)
        for entry in entries
        if entry.state == "done"
        for path in sorted((entry.folder / "fit").rglob(CHECKPOINT))
    ]
    kept = [entry for entry in entries if entry.state not in RESUMABLE]
    return unfinished + checkpoints + _unused_caches(kept, cache)


def remove(entry: Removable, root: Path) -> None:
    """Remove what may go. Raises MachineError where a process works on it by now."""
    if (entry.path / CONFIG).exists():
        remove_runs([entry.path], root)
    elif entry.path.is_dir():
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink(missing_ok=True)


def _unused_caches(entries: Sequence[RunEntry], cache: Path) -> list[Removable]:
    """Return prepared images and detectors that none of these runs uses. Runs elsewhere may use them: they are rebuilt.

    What cannot be told, because a run's data set or model is not on this machine now, counts as used.
    """
    used: set[Path] = set()
    unknown: set[str] = set()
    with remembered_digests():
        for entry in entries:
            try:
                used |= _caches_of(entry)
            except (BenchError, OSError, KeyError, TypeError):
                unknown.add(_data_name(entry))
    folders = [path for part in ("cohorts", "detectors") for path in sorted((cache / part).glob("[!.]*-*"))]
    return [
        Removable(path, "cache that no run here uses; it would be made again", folder_bytes(path))
        for path in folders
        if path not in used and not any(path.name.startswith(f"{name}-") for name in unknown)
    ]


def _caches_of(entry: RunEntry) -> set[Path]:
    if entry.config is None:
        raise UsageError(f"{entry.folder / CONFIG} is unreadable")
    resolved = resolve(entry.config)
    key = str(read_json(entry.folder / RECORD, dict)["hashes"]["cohort"])
    cache = entry.config.cache
    detectors = {detector_folder(choice, resolved.data.name, key, cache) for choice in resolved.detectors}
    prepared = _prepared_folder(resolved)
    return {*detectors} | ({prepared} if prepared else set())


def _prepared_folder(resolved: Resolved) -> Path | None:
    config = resolved.config
    root = config.data.root
    if isinstance(resolved.dataset, Embedded):
        root = root or config.cache / "embedded" / resolved.data.name
    else:
        root = locate(resolved.data, resolved.dataset, root=root, cache=config.cache)
    return prepared_folder(resolved.data.name, resolved.dataset, root, config.cache)


def _data_name(entry: RunEntry) -> str:
    return entry.config.data.name if entry.config else ""


def _state(folder: Path) -> tuple[str, str]:
    """Return the state of a run folder, and the error where it failed."""
    if is_locked(folder):
        return "running", ""
    path = folder / STATUS
    try:
        status = read_status(path) if path.exists() else {}
    except BadDataError as unreadable:
        return "damaged", unreadable.message
    for entry in status.values():
        if entry.get("state") == "failed":
            declined = str(entry.get("error", "")).startswith("DeclinedError")
            return ("declined" if declined else "failed"), str(entry.get("error", ""))
    states = {name: entry.get("state") for name, entry in status.items()}
    if "interrupted" in states.values():
        return "interrupted", ""
    done = all(states.get(name) == "done" for name in ("fit", "sample", "evaluate"))
    if not done or not (folder / RECORD).exists():
        return "unfinished", ""
    try:
        written(folder / RECORD)
    except (BadDataError, OSError) as unusable:
        return "damaged", getattr(unusable, "message", str(unusable))
    return "done", ""


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove folders that hold locks and nothing else, from one up to `root`, which stays."""
    while folder != root and folder.is_relative_to(root):
        for path in folder.glob(".*.lock"):
            path.unlink(missing_ok=True)
        if any(folder.iterdir()):
            return
        folder.rmdir()
        folder = folder.parent
