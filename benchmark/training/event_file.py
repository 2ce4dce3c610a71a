"""TensorBoard's event files, written in the calling thread.

The writers of torch and tensorboard hand each event to a thread and wait for it when they are closed. A signal that
arrives while that thread's queue is locked leaves both waiting for ever. Here a line is written by the call that logs
it, and nothing has to be waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

VERSION = "brain.Event:2"
"""What the first event of a file says; TensorBoard drops later steps of earlier files after this version only."""


class EventFile:
    """An event file in a folder, which TensorBoard finds by its name and reads beside earlier ones.

    Args:
        folder: is created where it does not exist.
        first: events of earlier files from this step on are dropped by TensorBoard: they are written again.
    """

    def __init__(self, folder: Path, first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _new_file(folder)
        self._records = RecordWriter(self._file)
        self._write(Event(file_version=VERSION, step=first))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=first))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step, by tag."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _new_file(folder: Path) -> BinaryIO:
    # TensorBoard reads the files of a folder in the order of their names: seconds first, as its own writers have them,
    # then nanoseconds, because two files of one second would otherwise have one name. The host's name is left out.
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    name = f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}.{os.getpid()}"
    return (folder / name).open("xb", buffering=0)
