"""Runs `fast_bench.py` in forks of one process that has imported the heavy packages.

Importing torch, monai and diffusers, and parsing all modules for the keys of the stages, takes several seconds of each
call; a fork has both. It starts no threads and no torch operation before it forks, so that a fork is like a new
process. The process of a model is a fork, too. A test that wants real ones calls `fast_bench.py` itself.

Reads one JSON object per line: script, arguments, folder, environment, and the files for the call's output; answers
each with its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.adapters.isolation import keeper, process
from benchmark.adapters.isolation.process import launch
from benchmark.core.source_digest import source_digest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch", "monai.networks", "diffusers", "sklearn.linear_model", "scipy.stats", "pandas", "matplotlib.figure",
    "tensorboard.summary", "nibabel", "pydicom", "numba", "SimpleITK", "benchmark.training.event_file",
    "benchmark.cli.run", "benchmark.cli.audit", "benchmark.evaluation.run_evaluation", "benchmark.detectors.copy",
)  # fmt: skip


def serve(timeout: float = 1200) -> None:
    for name in HEAVY:
        importlib.import_module(name)
    source_digest(*(path for place in ("benchmark", "models", "datasets") for path in (ROOT / place).rglob("*.py")))
    gc.freeze()  # so that forks neither look through these modules for garbage nor copy their pages for it
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            os._exit(code_of(request))
        answers.write(f"{ended(child, timeout)}\n")
        answers.flush()


def code_of(request: dict[str, Any]) -> int:
    """Become the call, and return its exit code. Taking the modules apart at the end would take a second."""
    code = 1
    try:
        call(request)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  a fork must not get back into the loop of the server
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def call(request: dict[str, Any]) -> None:
    """Run a command line, which ends with SystemExit."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = [request["script"], *request["arguments"]]
    process.launch = forked
    runpy.run_path(request["script"], run_name="__main__")
    raise SystemExit(0)


def forked(channel: int, crashes: BinaryIO, folder: str, variables: Mapping[str, str]) -> Any:
    """Start the process of a model as a fork, which has the heavy packages; `bench` has no cohort yet."""
    if threading.active_count() > 1:
        return launch(channel, crashes, folder, variables)
    parent, child = os.getpid(), os.fork()
    if child:
        return Forked(child)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    os.dup2(2, 1)
    for descriptor in range(3, 256):
        if descriptor not in (channel, crashes.fileno()):
            with contextlib.suppress(OSError):
                os.close(descriptor)
    try:
        keeper.main(channel, crashes.fileno(), parent)
    finally:
        os._exit(0)


class Forked:
    """What `process.ModelProcess` uses of a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if done else None
        return self.returncode

    def wait(self, timeout: float = 1e9) -> int:
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def ended(child: int, timeout: float) -> int:
    """Wait for a child and return its exit code, negative for a signal; kill it when its time is over."""
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    serve()
