"""One training for several run folders: runs that differ in their samples or detectors alone share the model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.locks import held
from benchmark.core.progress import Log
from benchmark.core.sealed import sealed_write
from benchmark.core.stages import Stages
from benchmark.runs.run_folders import MODEL


@contextmanager
def shared_training(stages: Stages, key: str, seed: int) -> Iterator[None]:
    """Hold the lock of the trainings of this seed; first take over a finished one of a run folder next to this one.

    While another process trains, this one waits, so that no model is trained twice.
    """
    place = stages.folder.parent
    with held(place.parent / f".{place.name}-seed-{seed}.lock"):
        other = finished_training(stages.folder, key, seed, stages.log)
        if other is not None and other != stages.folder:
            _take_over(stages, other)
        yield


def finished_training(folder: Path, key: str, seed: int, log: Log) -> Path | None:
    """Return the run folder of this seed, this one or one next to it, that has finished this training."""
    others = sorted(folder.parent.glob(f"seed-{seed}*"))
    done = (
        other for other in (folder, *others) if Stages(other, log).finished("fit", key) and (other / MODEL).is_dir()
    )
    return next(done, None)


def _take_over(stages: Stages, other: Path) -> None:
    with sealed_write(stages.folder / MODEL) as part:
        shutil.copytree(other / MODEL, part, copy_function=_link)
    stages.adopt("fit", Stages(other, stages.log).facts("fit"))
    stages.log(f"fit: taken from {other.name}")


def _link(source: str, target: str) -> None:
    """Give a file a second name, which takes no space; copy it where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
