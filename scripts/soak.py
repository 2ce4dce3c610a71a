"""Commands under kills, signals, changed files and full disks, against the same commands undisturbed.

    python scripts/soak.py --minutes 30 --out DIR
    python scripts/soak.py --faults 2 --commands audit,copycat --out DIR    # two of each kind: the form of the tests

Two runs, a sweep and an audit of simulated X-rays share one cache. In each round one or two of them run at once, and
one to three faults happen: a kill of the command or of a worker, Ctrl-C, SIGTERM or SIGHUP, a changed, cut, emptied,
removed or swapped file of the cache or of a run, a folder or a pipe in its place, a disk that takes no more. Then the
commands run undisturbed, as a user would do.

- A wrong number: a command says that it has succeeded, and its result is not that of the undisturbed call.
- A stack trace: one is on the terminal.
- A hang: a command runs on for `--patience` seconds after a signal, or ten times longer than usual.
- Stuck: after the faults, the command fails again and again, although what its message names was removed.

A refusal that names the file is no failure. Prints every fault that had a consequence, and the sums; exits 1 unless all
sums are 0.
"""

from __future__ import annotations

import signal
import sys

if sys.argv[1:2] == ["--drive"]:  # Ctrl-C before `bench` has begun, whose own imports are no longer than a moment
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sweep_films
from soaking import faults
from soaking.forks import prepare_for_forks
from soaking.jobs import DRIVE, Job, jobs, result, start, write_data

sweep_films.use_small_detector()  # in the workers too, which import this file

KINDS = {"damage": 0.5, "kill": 0.25, "stop": 0.25}
"""Kinds of faults that happen to a command that runs, and their shares."""
FULL_DISK = "full disk"
FULL_DISKS = 0.15
"""Share of the commands for which the disk takes no more."""
ALLOWED = {2, 3, 4, 5, 6, 10, 11, 129, 130, 143, -signal.SIGKILL, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM}
"""Exit codes other than success that a disturbed command may have."""
FAILURES = ("wrong numbers", "stack traces", "hangs", "stuck")
LONGEST = 600.0
"""Seconds after which an undisturbed command hangs."""


def main() -> int:
    """Disturb commands until the time is over, and print the sums."""
    given = _arguments()
    prepare_for_forks()
    out: Path = given.out.resolve()
    write_data(out / "films")
    known = jobs(out / "films")
    commands = {name: known[name] for name in given.commands.split(",")} if given.commands else known
    calm = {name: _undisturbed(job, out / "calm") for name, job in commands.items()}
    print(f"undisturbed: {', '.join(commands)}", flush=True)
    soak = Soak(commands, calm, out / "soaked", random.Random(given.seed), given.patience, given.faults)
    end = time.monotonic() + 60 * given.minutes
    while soak.missing if given.faults else time.monotonic() < end:
        soak.round()
    print(soak.summary())
    return int(any(soak.failures.values()) or not soak.happened)


def _undisturbed(job: Job, folder: Path) -> Any:
    """Return the result of a command that nothing disturbs."""
    folder.mkdir(parents=True, exist_ok=True)
    code, _ = _wait(start(job, folder, fresh=False), LONGEST)
    if code != job.code:
        raise SystemExit(f"the undisturbed command ended with exit code {code}: see {folder / 'output'}")
    return result(job, folder)


class Soak:
    """Rounds of faults over some commands in one folder."""

    def __init__(
        self, commands: dict[str, Job], calm: dict[str, Any], folder: Path, rng: random.Random, patience: float,
        faults_per_kind: int = 0,
    ) -> None:  # fmt: skip
        """Take the commands, their results when undisturbed, and the seconds that a signal may take.

        Where `faults_per_kind` is not 0, so many faults of each kind happen and no more.
        """
        self.missing = Counter(dict.fromkeys((*KINDS, FULL_DISK), faults_per_kind) if faults_per_kind else {})
        self.limited = bool(faults_per_kind)
        self.commands, self.calm, self.folder, self.rng, self.patience = commands, calm, folder, rng, patience
        self.happened: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.refusals = 0
        self.slowest_stop = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def round(self) -> None:
        """Run one or two commands, disturb them, and let them end undisturbed."""
        names = self.rng.sample(sorted(self.commands), min(len(self.commands), self.rng.choice((1, 2))))
        (self.folder / "output").write_bytes(b"")
        told = self._disturbed(names)
        self._look_for_traces(told)
        for name in names:
            self._recovers(name, told)

    def _disturbed(self, names: list[str]) -> list[str]:
        """Run commands while faults happen; return what happened."""
        told: list[str] = []
        running = [self._start(name, told) for name in names]
        for _ in range(self.rng.choice((2, 3) if self.limited else (1, 1, 2, 3))):
            time.sleep(self.rng.uniform(0, 6))
            self._one_fault(running, told)
        for process in running:
            code, seconds = _wait(process, LONGEST)
            if code is None:
                self._fails("hangs", told, f"no end after {seconds:.0f} s")
            elif code not in ALLOWED | {0}:
                self._fails("stuck", told, f"exit code {code}")
        return told

    def _start(self, name: str, told: list[str]) -> int:
        before: Callable[[], None] | None = None
        if self._is_wanted(FULL_DISK, 0.5 if self.limited else FULL_DISKS):
            self._happened(FULL_DISK, FULL_DISK, told)
            limit = random.Random(self.rng.random())
            before = lambda: _ignore(faults.fill_disk(limit))  # noqa: E731
        return start(self.commands[name], self.folder, fresh=self.rng.random() < 0.2, before=before)

    def _one_fault(self, running: list[int], told: list[str]) -> None:
        kinds = [kind for kind in KINDS if self.missing[kind] or not self.limited]
        if not kinds:
            return
        (kind,) = self.rng.choices(kinds, [KINDS[one] for one in kinds])
        process = self.rng.choice(running)
        if kind == "damage":
            self._happened(kind, faults.damage_a_file(self.folder, self.rng), told)
        elif _ended(process):
            return
        elif kind == "kill":
            self._happened(kind, faults.kill_something(process, self.rng), told)
        else:
            self._happened(kind, faults.stop(process, self.rng), told)
            self._ends_soon(process, told)

    def _is_wanted(self, kind: str, share: float) -> bool:
        """Draw whether a fault of this kind is to happen now."""
        return self.rng.random() < share and bool(self.missing[kind] or not self.limited)

    def _ends_soon(self, process: int, told: list[str]) -> None:
        started = time.monotonic()
        while not _ended(process) and time.monotonic() - started < self.patience:
            time.sleep(0.02)
        self.slowest_stop = max(self.slowest_stop, time.monotonic() - started)
        if not _ended(process):
            self._fails("hangs", told, f"ran on for {self.patience:.0f} s after the signal")
            os.kill(process, signal.SIGKILL)

    def _recovers(self, name: str, told: list[str]) -> None:
        """Run a command undisturbed until it succeeds, doing what its messages ask for, and compare its result."""
        job = self.commands[name]
        for _ in range(6):
            (self.folder / "output").write_bytes(b"")
            code, seconds = _wait(start(job, self.folder, fresh=False), LONGEST)
            self._look_for_traces(told)
            if code is None:
                return self._fails("hangs", told, f"{name}: no end after {seconds:.0f} s")
            if code == job.code:
                if result(job, self.folder) != self.calm[name]:
                    self._fails("wrong numbers", told, name)
                    shutil.copytree(self.folder, self.folder.with_name(f"wrong-{sum(self.failures.values())}"))
                    shutil.rmtree(self.folder / Path(job.result).parts[0])
                return None
            self.refusals += 1
            self._remove_what_is_named()
        self._fails("stuck", told, f"{name}: exit code {code}: {self._output()[-600:]}")
        shutil.rmtree(self.folder)
        return self.folder.mkdir()

    def _remove_what_is_named(self) -> None:
        """Remove the files that the last message names."""
        for text in re.findall(r"(?:cache|runs|sweeps|audits)/[^\s:'\",]+", self._output()):
            path = self.folder / text
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    def _output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def _look_for_traces(self, told: list[str]) -> None:
        if "Traceback" in self._output():
            self._fails("stack traces", told, self._output()[-3000:])

    def _happened(self, kind: str, fault: str, told: list[str]) -> None:
        """Count a fault; an empty one could not happen."""
        if fault:
            self.missing -= Counter([kind])  # no count goes below 0, and those of 0 are removed
            told.append(fault)
            self.happened[fault.split(" of ")[0] if "/" in fault else fault] += 1

    def _fails(self, kind: str, told: list[str], text: str) -> None:
        self.failures[kind] += 1
        print(f"{kind}: {text}\n  after: {'; '.join(told)}", flush=True)

    def summary(self) -> str:
        """Return the sums: faults, refusals, failures."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.happened.items()))
        failed = ", ".join(f"{self.failures[kind]} {kind}" for kind in FAILURES)
        return (
            f"{kinds}\n{self.refusals} refusals that were followed; slowest end after a signal "
            f"{self.slowest_stop:.1f} s\n{sum(self.happened.values())} faults, {failed}"
        )


def _ignore(_value: object) -> None:
    """Do nothing with a value."""


_CODES: dict[int, int] = {}


def _ended(process: int) -> bool:
    """Whether a process that was started here has ended; its exit code is kept for `_wait`."""
    if process not in _CODES:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            _CODES[process] = os.waitstatus_to_exitcode(status)
    return process in _CODES


def _wait(process: int, limit: float) -> tuple[int | None, float]:
    """Return the exit code of a process, negative for a signal, and its seconds; at the limit kill it: None."""
    started = time.monotonic()
    while not _ended(process) and time.monotonic() - started < limit:
        time.sleep(0.02)
    if not _ended(process):
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return None, limit
    return _CODES.pop(process), time.monotonic() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--faults", type=int, default=0, help="faults of each kind, in place of the minutes")
    parser.add_argument("--commands", default="", help="some of copycat,vae,sweep,audit; by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the times and kinds of faults")
    parser.add_argument("--patience", type=float, default=15, help="seconds that a command may take after a signal")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == [DRIVE]:
        sweep_films.run_bench(sys.argv[2:])
    else:
        sys.exit(main())
