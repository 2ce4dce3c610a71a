"""Writing the files of simulated patients that are not there yet, one process a core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from benchmark.errors import UsageError
from benchmark.progress import progress
from benchmark.workers import processes

MOST = 999
"""Patients are numbered with three digits."""


def require_patients(patients: int) -> None:
    """Raise UsageError where patients cannot be numbered."""
    if not 1 <= patients <= MOST:
        raise UsageError(f"patients {patients} does not fit", f"choose a number from 1 to {MOST}")


def write_missing(root: Path, write: Callable[[Path, int], None], missing: Sequence[int], patients: int) -> None:
    """Call write(root, number) for each missing patient. Raises MachineError when the disk refuses."""
    if not missing:
        return
    with (
        processes(min(os.cpu_count() or 1, len(missing))) as pool,
        progress("simulating patients", patients, patients - len(missing)) as advance,
    ):
        jobs = [pool.submit(write, root, number) for number in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
