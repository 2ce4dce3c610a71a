"""Reads files in a process of its own, within a limit of time and memory."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

SECONDS = 10.0
"""A file that takes longer counts as a failure."""
MIB = 1024
"""A file that takes more memory counts as a failure."""
LIBRARIES = (
    "h5py",
    "nibabel",
    "PIL.Image",
    "pandas",
    "pyarrow",
    "pydicom",
    "SimpleITK",
    "benchmark.cohorts.csv_tables",
    "benchmark.images.readers.series",
)
LINES = 6
"""Last lines of a stack trace that are shown."""
LONGEST = 600
"""Letters of one sentence."""


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    kind: str
    """`image`, `refused`, or `failed`."""
    detail: str
    """The shape, the message, or what went wrong."""


class Reader:
    """A process that reads files; it is replaced after a failure that ends or stops it."""

    def __init__(self) -> None:
        self._start()

    def read(self, path: Path) -> Outcome:
        """Return what becomes of one file, or of one folder as a DICOM series."""
        self._own.send(path)
        try:
            if self._own.poll(SECONDS):
                outcome: Outcome = self._own.recv()
                return outcome
            failed = Outcome("failed", f"still reading after {SECONDS:g} s")
        except EOFError:
            self._process.join()
            failed = Outcome("failed", f"the process ended with exit status {self._process.exitcode}")
        self.stop()
        self._start()
        return failed

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._own.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._own, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()


def _serve(pipe: Connection) -> None:
    """Answer one path after the other. What a library writes to the terminal counts as a failure, too."""
    _import_libraries()
    limit = _status("VmSize") * 1024 + MIB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    spoken = os.memfd_create("terminal")
    for stream in (1, 2):
        os.dup2(spoken, stream)
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        os.ftruncate(spoken, 0)
        os.lseek(spoken, 0, os.SEEK_SET)
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in memory now
        outcome = _outcome(path)
        grown = (_status("VmHWM") - before) / 1024
        said = os.pread(spoken, 300, 0).decode(errors="replace")
        if grown > MIB:
            outcome = Outcome("failed", f"took {grown:.0f} MiB: {outcome.detail}")
        elif said and outcome.kind != "failed" and not _is_notice(said, path):
            outcome = Outcome("failed", f"wrote to the terminal: {said}")
        pipe.send(outcome)


def _is_notice(said: str, path: Path) -> bool:
    """Return whether what was written is one sentence of ours about the file."""
    return said.startswith(str(path)) and said.count("\n") == 1


def _import_libraries() -> None:
    """Import what the readers import on demand, so that the limit of memory is for files alone."""
    for name in LIBRARIES:
        importlib.import_module(name)
    pandas = importlib.import_module("pandas")
    pandas.DataFrame({"a": ["b"]}).to_csv()  # pyarrow reserves a gigabyte of addresses at its first text


def _outcome(path: Path) -> Outcome:
    from benchmark.core.errors import BadDataError

    try:
        return Outcome("image", _read(path))
    except BadDataError as error:
        message = str(error)
        one = "\n" not in error.message and "Traceback" not in message and len(error.message) < LONGEST
        return Outcome("refused" if one else "failed", message)
    except BaseException:  # noqa: BLE001 - any other end of a reader is what this looks for
        return Outcome("failed", "".join(traceback.format_exc().splitlines(keepends=True)[-LINES:]))


def _read(path: Path) -> str:
    from benchmark.cohorts.csv_tables import read_csv
    from benchmark.images.readers import read_image
    from benchmark.images.readers.series import read_series

    if path.is_dir():
        return ", ".join(str(volume.pixels.shape) for volume in read_series(sorted(path.iterdir())).volumes)
    if path.suffix == ".csv":
        return f"{len(read_csv(path, ('file', 'patient'), ('label',)))} rows"
    return str(read_image(path, constant_ok=True).pixels.shape)


def _status(name: str) -> int:
    """Return a line of /proc/self/status, KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
