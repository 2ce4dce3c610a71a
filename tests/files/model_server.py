"""Starts the processes of models as forks of one process that has imported torch and the libraries of the models.

A new interpreter imports them for two to six seconds of each test. The server starts no thread and no torch operation,
and imports no model: what a fork has beyond a new process is modules. Tests of the process itself start real ones
(`process.launch` as it was, the fixture `real_processes`).

A request is one message: the folder and environment as JSON, and four descriptors, of which the last is a pipe for the
number of the process and, when it has ended, its exit code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

MODULES = (
    "torch", "monai.networks.nets", "monai.networks.schedulers", "monai.inferers", "diffusers", "diffusers.schedulers",
    "diffusers.loaders.peft", "transformers", "safetensors.torch", "tensorboard.summary.writer.record_writer",
    "benchmark.adapters.conformance", "benchmark.adapters.isolation.worker", "benchmark.training.loop",
)  # fmt: skip
MOST = 2**17
"""Bytes of a request."""
FILES = 4


class ModelServer:
    """The server's process, started with the first request."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, channel: int, crashes: BinaryIO, folder: str, variables: Mapping[str, str]) -> Started:
        """Start the process of a model; stands for `process.launch`."""
        if self._channel is None:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, __file__, str(theirs.fileno())]
                self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        reading, writing = os.pipe()
        request = json.dumps({"folder": folder, "variables": dict(variables)}).encode()
        assert len(request) < MOST
        with contextlib.suppress(BrokenPipeError):  # `Started` says that the server has ended
            socket.send_fds(self._channel, [request], [channel, crashes.fileno(), 2, writing])
        os.close(writing)
        return Started(reading)

    def end(self) -> None:
        """End the server: it ends when its channel is closed, and its children with it."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait()
            self._channel = None


class Started:
    """What `process.ModelProcess` uses of a `subprocess.Popen`."""

    def __init__(self, pipe: int) -> None:
        self._lines, self.returncode = os.fdopen(pipe), None
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        return self._within(0)

    def wait(self, timeout: float | None = None) -> int:
        if (code := self._within(timeout)) is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("fork", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._lines], [], [], seconds)[0]:
            self.returncode = int(self._lines.readline() or -signal.SIGKILL)
            self._lines.close()
        return self.returncode


def serve(channel: socket.socket) -> None:
    """Answer requests until the channel is closed."""
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()  # so that forks neither look through these modules for garbage nor copy their pages for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    alarm, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready = select.select([channel, alarm], [], [])[0]
        if alarm in ready:
            os.read(alarm, 4096)
            tell_ended(running)
        if channel in ready:
            request, files, _, _ = socket.recv_fds(channel, MOST, FILES)
            if not request:
                return
            start(json.loads(request), files, running, {channel.fileno(), alarm, wake})


def tell_ended(running: dict[int, int]) -> None:
    """Write the exit codes of the children that have ended."""
    for child in list(running):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with os.fdopen(running.pop(child), "w") as pipe, contextlib.suppress(BrokenPipeError):
                pipe.write(f"{os.waitstatus_to_exitcode(status)}\n")
                pipe.flush()


def start(request: dict[str, Any], files: list[int], running: dict[int, int], own: set[int]) -> None:
    *given, pipe = files
    parent, child = os.getpid(), os.fork()
    if child == 0:
        become_model(request, given, own | {pipe, *running.values()}, parent)
    running[child] = pipe
    os.write(pipe, b"%d\n" % child)
    for file in given:
        os.close(file)


def become_model(request: dict[str, Any], files: list[int], others: set[int], parent: int) -> None:
    """Be the process of a model, as `process.launch` starts one: never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        channel, crashes, errors = files
        for target in (1, 2):
            os.dup2(errors, target)
        for file in (*others, errors):
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["variables"])
        placed = request["variables"]["PYTHONPATH"].split(os.pathsep)
        sys.path[:] = [*placed, *(path for path in sys.path if path not in placed)]
        seed_anew()
        sys.modules["benchmark.adapters.isolation.worker"].main(channel, crashes, parent)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  a fork must not get back into the loop of the server
        traceback.print_exc()
    finally:
        os._exit(code)


def seed_anew() -> None:
    """Give the generators that a new interpreter seeds at random a state of their own; torch has a fixed one."""
    random.seed()
    sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    serve(socket.socket(fileno=int(sys.argv[1])))
