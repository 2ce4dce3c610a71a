"""Stages of a run: finished stages are skipped, interrupted ones resume, changed ones run again."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import Timeout

from benchmark.core.errors import BadDataError, BenchError, DamagedError, MachineError
from benchmark.core.failures import is_signal
from benchmark.core.files import machine_error
from benchmark.core.interrupt import require_uninterrupted
from benchmark.core.leftovers import remove_leftovers
from benchmark.core.locks import Held, held
from benchmark.core.noted import forget
from benchmark.core.progress import Log
from benchmark.core.sealed import (
    AGAIN,
    digest,
    is_intact,
    noting,
    read_sealed_json,
    remove_sealed,
    seals,
    write_sealed_json,
)

OWNER = ".stage"
"""In the folder that a stage owns: the key with which it was begun."""

STATUS = "status.json"
NUMBER = (int, float)
KINDS: dict[str, Any] = {
    "state": str, "key": str, "error": str, "patterns": list, "outputs": dict, "seconds": NUMBER, "before": NUMBER,
    "started": NUMBER, "peak_bytes": NUMBER, "joules": NUMBER, "count": int, "cohort": str, "configuration": str,
}  # fmt: skip
"""Types of what a status says of a stage."""

LOCK = ".lock"
"""File in a run folder that a process locks while it works there; its lock ends with the process, even if killed."""


@contextmanager
def exclusive(folder: Path, *, wait: bool = False, log: Log = lambda text: None) -> Iterator[Held]:
    """Lock a run folder, also against the other nodes of a cluster (`core.locks`); remove what killed processes left.

    While it is locked, digests of what it holds are kept in memory: who replaces a file and its digest is found out.

    Args:
        folder: is created where it does not exist.
        wait: whether to wait for a process that has locked it, and so to find what that has finished.
        log: told of the waiting.

    Raises MachineError when another process has locked it and `wait` is false, and where it may not be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(
                held(folder / LOCK, wait=wait, waiting=lambda: log(f"{folder}: another process works on it, waiting"))
            )
        except Timeout:
            raise MachineError(
                f"another process is working on {folder}", "wait for it, or choose another --seed or --runs"
            ) from None
        except OSError as error:
            raise machine_error(error, folder) or error from error
        remove_leftovers(folder, below=True)
        stack.enter_context(noting(folder))
        yield lock


@dataclass
class Stages:
    """status.json of a run folder: for each stage its key, state, seconds, outputs with their digests, and facts."""

    folder: Path
    log: Log
    lock: Held | None = None
    """The folder's lock: nothing is stored after it is lost."""

    _known: dict[str, Any] | None = field(default=None, repr=False)
    """What the file says, as this process has written it: it counts while the lock is held."""

    @property
    def path(self) -> Path:
        """The file that holds the status."""
        return self.folder / STATUS

    def status(self) -> dict[str, Any]:
        """Read the status; a new run has an empty one, and so has a run whose file has changed since it was written."""
        if self.lock is None:
            return self._read()
        if self._known is None:
            self._known = self._read()
        return copy.deepcopy(self._known)

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            return read_status(self.path)
        except BadDataError as error:
            self.log(f"{error.message}: every stage is looked at again")
            return {}

    def finished(self, name: str, key: str) -> bool:
        """Whether this stage ended with this key, and its outputs are as it wrote them: none changed, none added."""
        entry = self.status().get(name, {})
        return bool(entry.get("state") == "done" and entry.get("key") == key and not self._changed(entry))

    def run(
        self, name: str, key: str, work: Callable[[], dict[str, Any]], *, owns: str = "", outputs: Sequence[str] = ()
    ) -> bool:
        """Run a stage unless it is finished; return whether it was.

        Args:
            name: shown to the user.
            key: digest of all that decides the result.
            work: runs the stage, and returns facts to keep.
            owns: a folder of the run that belongs to this stage: deleted when it was started with another key.
            outputs: patterns of the sealed files and folders that the stage leaves, such as `samples/*`.
        """
        if self.finished(name, key):
            self.log(f"{name}: cached")
            return True
        self._remove_changed(name, key)
        self.begin(name, key, owns)
        self._remove_strangers(outputs)
        started = time.monotonic()
        facts = work()
        require_uninterrupted()
        seconds = round(self.facts(name).get("before", 0.0) + time.monotonic() - started, 3)
        made = {str(place.relative_to(self.folder)): seals(place)[-1] for place in self._places(outputs)}
        entry = {"state": "done", "key": key, "seconds": seconds, "patterns": list(outputs), "outputs": made}
        self._set(name, {**entry, **facts})
        self.log(f"{name}: done in {seconds:.0f} s")
        return False

    def begin(self, name: str, key: str, owns: str) -> None:
        """Mark a stage as running, after deleting what it wrote with another key."""
        entry = self.status().get(name, {})
        if owns:
            self._own(self.folder / owns, key)
        before = self._seconds_before(entry, owns) if entry.get("key") == key else 0.0
        self._set(name, {"state": "running", "key": key, "before": before, "started": time.time()})

    def fail(self, error: BaseException) -> None:
        """Store with the stage that was running that it was interrupted by a signal, or why it failed.

        Never raises: on a full disk the error that a user has to see is the first one.
        """
        try:
            status = self.status()
            for entry in status.values():
                if entry.get("state") == "running":
                    spent = entry.get("before", 0.0) + time.time() - entry.get("started", time.time())
                    entry.update(_ended(error), seconds=round(spent, 3))
            self._write(status)
        except (BenchError, OSError) as second:
            self.log(f"{self.path} does not say how this run ended: {str(second).splitlines()[0]}")

    def facts(self, name: str) -> dict[str, Any]:
        """Return the facts that a finished stage stored."""
        return dict(self.status().get(name, {}))

    def adopt(self, name: str, facts: dict[str, Any]) -> None:
        """Enter a stage that another run folder has finished, with that folder's facts."""
        self._set(name, facts)

    def enter(self, name: str, *files: str) -> None:
        """Store the digests of files that this run has written outside its stages: readers compare them."""
        entry = {"state": "done", "outputs": {file: _digest_of(self.folder / file) for file in files}}
        if self.status().get(name) != entry or not is_intact(self.path):
            self._set(name, entry)

    def require(self, name: str, output: str, advice: str = AGAIN) -> Path:
        """Return the path of a stage's output. Raises DamagedError where it is not as the stage wrote it."""
        place = self.folder / output
        written = self.status().get(name, {}).get("outputs", {}).get(output)
        if not place.exists() or digest(place) != written:
            raise DamagedError(f"{place} {why_replaced(place, name)}", advice)
        return place

    def _set(self, name: str, entry: dict[str, Any]) -> None:
        if self.lock:
            self.lock.require()
        self._write({**self.status(), name: entry})

    def _write(self, status: dict[str, Any]) -> None:
        write_sealed_json(self.path, status)
        self._known = status

    def _own(self, owned: Path, key: str) -> None:
        """Empty the folder of a stage unless it was begun with this key, which it holds itself.

        A status that is lost then costs no training.
        """
        mark = owned / OWNER
        if not is_intact(mark) or read_sealed_json(mark) != key:
            shutil.rmtree(owned, ignore_errors=True)
            forget(owned)
            write_sealed_json(mark, key)

    def _places(self, patterns: Sequence[str]) -> list[Path]:
        """Return what matches the patterns now, without the hidden files that hold digests."""
        matching = (place for pattern in patterns for place in sorted(self.folder.glob(pattern)))
        return [place for place in matching if not place.name.startswith(".")]

    def _remove_strangers(self, patterns: Sequence[str]) -> None:
        """Delete what stands in the place of outputs and was not written by a stage: without a digest."""
        for place in self._places(patterns):
            if not seals(place):
                remove_sealed(place)

    def _changed(self, entry: Mapping[str, Any]) -> list[Path]:
        """Return the outputs of a finished stage that are not as it wrote them: changed, missing, or added."""
        written = {self.folder / name: value for name, value in entry.get("outputs", {}).items()}
        changed = [place for place, value in written.items() if not place.exists() or digest(place) != value]
        return changed + [place for place in self._places(entry.get("patterns", ())) if place not in written]

    def _remove_changed(self, name: str, key: str) -> None:
        """Delete what has changed since a stage wrote it, with its digest: the stage would take it for its own."""
        entry = self.status().get(name, {})
        if entry.get("state") != "done" or entry.get("key") != key:
            return
        changed = self._changed(entry)
        self.log(f"{changed[0]} is not what {name} wrote: the stage runs again")
        for place in changed:
            remove_sealed(place)

    def _seconds_before(self, entry: Mapping[str, Any], owns: str) -> float:
        """Return the seconds that interrupted calls of a stage took.

        A process that is killed cannot write how long it worked. Its last file says so to within the time between two
        of its files.
        """
        if entry.get("state") != "running":
            return float(entry.get("seconds", 0.0)) if entry.get("state") in ("failed", "interrupted") else 0.0
        files = [self.path, *((self.folder / owns).rglob("*") if owns else ())]
        last = max(path.stat().st_mtime for path in files)
        worked = max(0.0, last - float(entry.get("started", last)))
        seconds: float = round(float(entry.get("before", 0.0)) + worked, 3)
        return seconds


def read_status(path: Path, advice: str = AGAIN) -> dict[str, Any]:
    """Read the status of a run. Raises DamagedError where it has changed, BadDataError for what is no status."""
    status: dict[str, Any] = read_sealed_json(path, advice, dict)
    for name, entry in status.items():
        if not isinstance(entry, dict) or not all(_fits(*value) for value in entry.items()):
            raise BadDataError(f"{path} does not say of its stage {name} what a status says", advice)
    return status


def _fits(name: str, value: Any) -> bool:
    if name == "outputs" and isinstance(value, dict):
        return all(isinstance(digest, str) for digest in value.values())
    return isinstance(value, KINDS.get(name, object))


def why_replaced(place: Path, writer: str) -> str:
    """Say, after the name of a place that is not as `writer` has written it, what is wrong with it."""
    return f"is not what {writer} wrote: something has replaced it" if place.exists() else "is missing"


def require_entered(path: Path, advice: str, *, stage: str = "") -> Path:
    """Return the path of a file. Raises DamagedError where it is in a run folder, and its run has written another one.

    The status of the run has the digest: a file that was replaced together with the digest next to it is seen. A file
    that is in no run folder has no status, and is returned; so is one of a `stage` that the status does not have.
    """
    status = path.with_name(STATUS)
    if not status.exists():
        return path
    stages = read_status(status, advice)
    digests = [entry.get("outputs", {}).get(path.name) for entry in stages.values()]
    if (stage and stage not in stages) or digest(path) in digests:
        return path
    known = "another digest" if any(digests) else "no digest"
    raise DamagedError(f"{path} is not what its run wrote: {STATUS} has {known} of it", advice)


def written_digests(folder: Path, stage: str) -> dict[str, str]:
    """Return the digests of what a stage of a run has written, by the files' names; none where there is no status.

    Raises as `read_status` does.
    """
    if not (folder / STATUS).exists():
        return {}
    outputs = read_status(folder / STATUS).get(stage, {}).get("outputs", {})
    return {Path(name).name: value for name, value in outputs.items()}


def _digest_of(place: Path) -> str:
    """Return the digest with which a file was sealed; of one that is not sealed, that of what it holds."""
    return (seals(place) or (digest(place),))[-1]


def _ended(error: BaseException) -> dict[str, str]:
    if is_signal(error):
        return {"state": "interrupted"}
    return {"state": "failed", "error": f"{type(error).__name__}: {error}"}
