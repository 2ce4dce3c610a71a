"""Start, ask and end the process of a model."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from benchmark.adapters.isolation.failures import ProcessEndedError, ended, raised
from benchmark.adapters.isolation.messages import Channel, ClosedError, Message, MessageError
from benchmark.core.descendants import end_descendants
from benchmark.core.errors import AdapterError
from benchmark.core.leftovers import remove_working_folders, temporary_name
from benchmark.core.progress import quiet

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.plugins.registry import ModelCard

KEEPER = "benchmark.adapters.isolation.keeper"
LEFT_OUT = ("BENCH_QUIET", "MEMOBENCH_CACHE", "MEMOBENCH_DATA", "OLDPWD", "PWD")
"""Environment variables that lead to data sets, and one that each request sets."""
NEEDED = ("CONDA_PREFIX", "HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
"""Environment variables without which programs do not run; a data set may be in a folder above theirs."""
PATIENCE = 2.0
"""Seconds that a process has to end by itself, and then again after SIGTERM: together less than the 5 s in which a
stopped command has to end."""
DYING = 10.0
"""Seconds that a process which has closed its connection may take to end: one that crashed may write a core file."""
STACK = 2**16
"""Most bytes of the description of a crash."""

_running: weakref.WeakSet[ModelProcess] = weakref.WeakSet()

Answering = Callable[[Message], Mapping[str, Any]]
"""Answers what a model calls the evaluator for in the middle of a request."""


class ModelProcess:
    """A process that has imported one model.

    Args:
        card: of the model; a file is named by its whole path.
        variables: its environment, of `environment`.
    """

    def __init__(self, card: ModelCard, variables: Mapping[str, str]) -> None:
        self.name = card.name
        self.log: Path | None = None
        """File for the stack trace of a failure."""
        self._owner, self._lock, self._ended = os.getpid(), threading.RLock(), False
        self._facts: Mapping[str, Any] | None = None
        self._folder, self._crashes = new_folder(), tempfile.TemporaryFile()  # noqa: SIM115
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            self.process = launch(theirs.fileno(), self._crashes, self._folder, variables)
        _running.add(self)
        self._send("class_facts", {"card": card.model_dump(mode="json")})

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._ended and self.process.poll() is None

    def facts(self) -> Mapping[str, Any]:
        """Return what the process says of the class. Raises BenchError where it cannot be imported."""
        with self._lock:
            if self._facts is None:
                self._facts = dict(self._received("import", 0, None).values["answer"])
            return self._facts

    def ask(
        self,
        request: str,
        stage: str,
        values: Mapping[str, Any] | None = None,
        arrays: Sequence[Array] = (),
        *,
        most: int = 0,
        file: int | None = None,
        answering: Answering | None = None,
    ) -> Message:
        """Send a request and return its answer. Raises BenchError: what the model raised, or how its process ended.

        Args:
            request: a name of `worker.REQUESTS`.
            stage: for messages: fit, sample ...
            values: of the request.
            arrays: of the request.
            most: bytes of arrays that the answer may have.
            file: a descriptor that is handed over.
            answering: answers the calls of the model until it has finished, whose arrays have at most `most` bytes.
        """
        with self._lock:
            self._send(request, values or {}, arrays)
            if file is not None:
                self._send_file(file)
            return self._received(stage, most, answering)

    def end(self, *, wait: bool = True) -> None:
        """End the process and all that it has started, in whatever session; without `wait` at once."""
        if self._ended or self._owner != os.getpid():  # a fork of the evaluator: the process is not its child
            return
        self._ended = True
        _running.discard(self)
        self._channel.close()
        for number in (0, signal.SIGTERM) if wait else (signal.SIGTERM,):
            with suppress(ProcessLookupError):
                if number:
                    self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                break
        if self.process.poll() is None:  # else the keeper has ended them, and its number may be another process's
            end_descendants(self.process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._crashes.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __del__(self) -> None:
        """End the process with the last reference to it."""
        with suppress(Exception):  # also where it could not be started
            self.end(wait=False)

    def _send(self, request: str, values: Mapping[str, Any], arrays: Sequence[Array] = ()) -> None:
        with suppress(ClosedError):  # `_receive` says how it ended
            self._channel.send({"request": request, "quiet": quiet(), **values}, arrays)

    def _send_file(self, file: int) -> None:
        with suppress(ClosedError):
            self._channel.send_file(file)

    def _received(self, stage: str, most: int, answering: Answering | None) -> Message:
        """Return an answer; after anything else than an answer or an error of the model, the process is ended."""
        try:
            message = self._channel.receive(most)
            while "call" in message.values and answering:
                self._channel.send(answering(message))
                message = self._channel.receive(most)
            if not isinstance(message.values.get("answer", message.values.get("failed")), dict):
                raise MessageError("neither an answer nor an error")
        except ClosedError:
            raise self._why_ended(stage) from None
        except MessageError as error:
            self.end(wait=False)
            raise AdapterError(
                f"{self.name} gave no usable answer in {stage}: {error}", "return arrays of the documented shapes"
            ) from error
        except BaseException:  # Ctrl-C, or a watcher's error: the answer would be taken for that of the next request
            self.end(wait=False)
            raise
        if "failed" in message.values:
            raise raised(message.values["failed"], self.name, stage, self.log)
        return message

    def _why_ended(self, stage: str) -> ProcessEndedError:
        if self._ended:  # by another thread of the evaluator
            return ProcessEndedError(f"the process of {self.name} has ended", "run the same command again")
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(DYING)
        self._crashes.seek(0)
        trace = self._crashes.read(STACK).decode(errors="replace")
        self.end(wait=False)
        return ended(code, self.name, stage, self.log, trace)


def new_folder() -> str:
    """Create an empty folder for a process to work in; those whose evaluator was killed are removed."""
    remove_working_folders()
    folder = Path(tempfile.gettempdir()) / temporary_name("memobench-model")
    folder.mkdir(mode=0o700)
    return str(folder)


def launch(channel: int, crashes: BinaryIO, folder: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process in a folder and a session of its own: Ctrl-C reaches the evaluator alone, which ends it.

    What it prints goes to standard error: standard output may be JSON.
    """
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", KEEPER, str(channel), str(crashes.fileno()), str(os.getpid())],
        pass_fds=(channel, crashes.fileno()), stdin=subprocess.DEVNULL, stdout=2, cwd=folder, env=dict(variables),
        start_new_session=True,
    )  # fmt: skip


def environment(hidden: Sequence[str]) -> dict[str, str]:
    """Return the environment of a model: that of the evaluator without what leads to data sets, and its `sys.path`.

    `hidden` are folders of data set and cache: a variable that names one is left out.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in NEEDED or (name not in LEFT_OUT and not any(place in value for place in hidden))
    }
    paths = os.pathsep.join(place for place in sys.path if place)
    return {**kept, "PYTHONPATH": paths, "BENCH_PYTHONPATH": os.environ.get("PYTHONPATH", "")}


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        process.end(wait=False)
