"""One training for several run folders: runs that differ in their samples or detectors alone share the model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.core.locks import held
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
        if not stages.finished("fit", key):
            _take_over(stages, key, sorted(place.glob(f"seed-{seed}*")))
        yield


def _take_over(stages: Stages, key: str, others: list[Path]) -> None:
    for other in others:
        there = Stages(other, stages.log)
        if there.finished("fit", key) and (other / MODEL).is_dir():
            with sealed_write(stages.folder / MODEL) as part:
                shutil.copytree(other / MODEL, part, copy_function=_link)
            stages.adopt("fit", there.facts("fit"))
            stages.log(f"fit: taken from {other.name}")
            return


def _link(source: str, target: str) -> None:
    """Give a file a second name, which takes no space; copy it where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
