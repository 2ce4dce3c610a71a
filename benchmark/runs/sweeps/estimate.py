"""What a sweep will take: time, memory and disk, from the runs that earlier commands left."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmark.core.errors import BenchError, MachineError, UsageError
from benchmark.core.public_text import public_value
from benchmark.records.record import Record
from benchmark.runs.config import RunConfig
from benchmark.runs.sweeps.cells import CellOutcome
from benchmark.runs.sweeps.public_axes import public_plugin

LOOKED_AT = 20
"""Runs per model and preset that are read: more make no better estimate, and a folder may hold thousands."""
UNKNOWN_MEMORY = 2 * 2**30
"""Bytes that a cell is given where no earlier run tells: torch, a small network and the images."""


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    steps: float
    samples: int
    fit_seconds: float
    other_seconds: float
    """Seconds of sampling and evaluation."""
    peak_bytes: float
    disk_bytes: int

    def seconds_at(self, steps: float, samples: int) -> float:
        """Scale to other steps and samples: training time grows with steps, the rest with samples."""
        ratio = steps / self.steps if self.steps and steps else 1.0
        return self.fit_seconds * ratio + self.other_seconds * samples / self.samples


@dataclass(frozen=True)
class Estimate:
    """What the planned cells of a sweep will take."""

    seconds: float
    """Time of the cells with known costs, one after the other."""
    unknown: int
    """Planned cells whose model no earlier run tells of."""
    peak_bytes: float
    """Memory of the largest cell; 0 where not known."""
    disk_bytes: int
    """Disk space of the cells with known costs."""


def estimate(outcomes: Sequence[CellOutcome]) -> Estimate:
    """Estimate the planned cells among these from the runs in their folder of runs."""
    planned = [outcome for outcome in outcomes if outcome.state == "planned"]
    seconds, peak, disk, unknown = 0.0, 0.0, 0, 0
    costs = {runs: known_costs(runs) for runs in {outcome.cell.config.runs for outcome in planned}}
    for outcome in planned:
        config = outcome.cell.config
        own = costs[config.runs].get(_named(config), [])
        if not own:
            unknown += 1
            continue
        steps = float(str(config.model.options.get("steps", 0)) or 0)
        seconds += median(cost.seconds_at(steps, config.samples or cost.samples) for cost in own)
        peak = max(peak, *(cost.peak_bytes for cost in own))
        disk += int(median(cost.disk_bytes for cost in own))
    return Estimate(seconds, unknown, peak, disk)


def _named(config: RunConfig) -> tuple[str, str]:
    """Return model and preset as records name them."""
    return public_plugin("models", config.model.name), str(public_value("preset", config.model.preset))


def known_costs(runs: Path) -> dict[tuple[str, str], list[Cost]]:
    """Return what the newest finished runs took, by model and preset. Unreadable records are left out."""
    costs: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    paths = sorted(runs.glob("*/*/seed-*/record.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in paths[: 50 * LOOKED_AT]:
        try:
            record = Record.read(path)
        except BenchError:
            continue
        own = costs[(record.spec.model, record.spec.preset)]
        if record.status == "done" and len(own) < LOOKED_AT:
            own.append(_cost(record, path.parent))
    return {name: own for name, own in costs.items() if own}


def folder_bytes(folder: Path) -> int:
    """Return the disk space of the files below a folder; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(Path(place) / name)
            except FileNotFoundError:  # written or removed meanwhile
                continue
            if (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                total += state.st_size
    return total


def require_disk(needed: Estimate, folders: Iterable[Path]) -> None:
    """Raise MachineError where the sweep will not fit on the disk of its run folders."""
    for folder in folders:
        free = shutil.disk_usage(_existing(folder)).free
        if needed.disk_bytes > free:
            raise MachineError(
                f"the sweep needs about {_gib(needed.disk_bytes)}, and {_gib(free)} are free for {folder}",
                "free some space (`bench runs gc` says what may go), or give another --runs",
            )


AS_MANY_AS_FIT = 0
"""Workers of a cluster, which has cores, GPUs and memory that this machine does not know of."""


def fitting_workers(asked: int | None, needed: Estimate, cores: int, gpus: int, *, cluster: bool = False) -> int:
    """Return how many cells run at once on this machine: one per GPU, else one per core, as far as memory holds them.

    On a cluster that runs already it is AS_MANY_AS_FIT, unless a number was asked for. Raises UsageError below 1.
    """
    if asked is not None and asked < 1:
        raise UsageError(f"--workers is {asked}", "give at least 1, or leave it out")
    if asked is not None or cluster:
        return asked or AS_MANY_AS_FIT
    largest = max(needed.peak_bytes, UNKNOWN_MEMORY if needed.unknown else 0.0, 1.0)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(gpus or cores, int(free / largest)))


def _cost(record: Record, folder: Path) -> Cost:
    seconds = {name: record.cost.get(f"{name}_seconds", 0.0) for name in ("fit", "sample", "evaluate")}
    return Cost(
        steps=float(record.spec.settings.get("steps") or 0),
        samples=record.spec.samples,
        fit_seconds=seconds["fit"],
        other_seconds=seconds["sample"] + seconds["evaluate"],
        peak_bytes=record.cost.get("peak_bytes", 0.0),
        disk_bytes=folder_bytes(folder),
    )


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
