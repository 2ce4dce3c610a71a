"""Stages of a run: finished stages are skipped, interrupted ones resume, changed ones run again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from benchmark.core.errors import MachineError
from benchmark.core.files import read_json, write_json
from benchmark.core.locks import Held, held
from benchmark.core.progress import Log

LOCK = ".lock"
"""File in a run folder that a process locks while it works there; its lock ends with the process, even if killed."""


@contextmanager
def exclusive(folder: Path, *, wait: bool = False, log: Log = lambda text: None) -> Iterator[Held]:
    """Lock a run folder, also against the other nodes of a cluster (`core.locks`).

    Args:
        folder: is created where it does not exist.
        wait: whether to wait for a process that has locked it, and so to find what that has finished.
        log: told of the waiting.

    Raises MachineError when another process has locked it and `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(
                held(folder / LOCK, wait=wait, waiting=lambda: log(f"{folder}: another process works on it, waiting"))
            )
        except Timeout:
            raise MachineError(
                f"another process is working on {folder}", "wait for it, or choose another --seed or --runs"
            ) from None
        yield lock


@dataclass
class Stages:
    """status.json of a run folder: for each stage its key, state, seconds and facts."""

    folder: Path
    log: Log
    lock: Held | None = None
    """The folder's lock: nothing is stored after it is lost."""

    @property
    def path(self) -> Path:
        """The file that holds the status."""
        return self.folder / "status.json"

    def status(self) -> dict[str, Any]:
        """Read the status; a new run has an empty one."""
        status: dict[str, Any] = read_json(self.path) if self.path.exists() else {}
        return status

    def finished(self, name: str, key: str) -> bool:
        """Whether this stage ended with this key."""
        entry = self.status().get(name, {})
        return bool(entry.get("state") == "done" and entry.get("key") == key)

    def run(self, name: str, key: str, work: Callable[[], dict[str, Any]], *, owns: str = "") -> bool:
        """Run a stage unless it is finished; return whether it was.

        Args:
            name: shown to the user.
            key: digest of all that decides the result.
            work: runs the stage, and returns facts to keep.
            owns: a folder of the run that belongs to this stage: deleted when it was started with another key.
        """
        if self.finished(name, key):
            self.log(f"{name}: cached")
            return True
        self.begin(name, key, owns)
        started = time.monotonic()
        facts = work()
        seconds = round(time.monotonic() - started, 3)
        self._set(name, {"state": "done", "key": key, "seconds": seconds, **facts})
        self.log(f"{name}: done in {seconds:.0f} s")
        return False

    def begin(self, name: str, key: str, owns: str) -> None:
        """Mark a stage as running, after deleting what it wrote with another key."""
        if owns and self.status().get(name, {}).get("key") != key:
            shutil.rmtree(self.folder / owns, ignore_errors=True)
        self._set(name, {"state": "running", "key": key})

    def fail(self, error: BaseException) -> None:
        """Store the reason with the stage that was running."""
        status = self.status()
        for entry in status.values():
            if entry.get("state") == "running":
                entry.update(state="failed", error=f"{type(error).__name__}: {error}")
        write_json(self.path, status)

    def facts(self, name: str) -> dict[str, Any]:
        """Return the facts that a finished stage stored."""
        return dict(self.status().get(name, {}))

    def adopt(self, name: str, facts: dict[str, Any]) -> None:
        """Enter a stage that another run folder has finished, with that folder's facts."""
        self._set(name, facts)

    def _set(self, name: str, entry: dict[str, Any]) -> None:
        if self.lock:
            self.lock.require()
        write_json(self.path, {**self.status(), name: entry})
