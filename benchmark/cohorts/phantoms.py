"""Writing the files of simulated patients that are not there yet, one process per core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.core.errors import MissingDataError, UsageError
from benchmark.core.processes import run_in_processes

Place = Callable[[Path, int], Path]
MOST = 999
"""Patients are numbered with three digits."""


def require_patients(patients: int) -> None:
    """Raise UsageError where patients cannot be numbered."""
    if not 1 <= patients <= MOST:
        raise UsageError(f"patients {patients} does not fit", f"choose a number from 1 to {MOST}")


def write_missing(root: Path, write: Callable[[Path, int], None], place: Place, patients: int) -> None:
    """Call write(root, number) for each patient that is not there yet. Raises MachineError when the disk refuses.

    Args:
        root: the folder of the data set.
        write: leaves one patient's file or folder whole, or not at all; importable in another process.
        place: where patient `number` (from 1) is under root.
        patients: how many there are to be.
    """
    missing = [number for number in range(1, patients + 1) if not place(root, number).exists()]
    if not missing:
        return
    calls = [(root, number) for number in missing]
    run_in_processes(write, calls, label="simulating patients", total=patients, done=patients - len(missing))


def require_all(root: Path, places: Sequence[Path]) -> None:
    """Raise MissingDataError where one of the patients' files or folders is not there."""
    missing = [place for place in places if not place.exists()]
    if missing:
        raise MissingDataError(
            f"{root} lacks {len(missing)} of {len(places)} simulated patients, the first is {missing[0].name}",
            "run the command again: it simulates those that are missing",
        )
