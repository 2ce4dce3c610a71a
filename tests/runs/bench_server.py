"""Runs `fast_bench.py` in forks of one process that has imported the heavy packages.

Importing torch, monai and diffusers takes several seconds of each call; a fork has them. It starts no threads and no
torch operation before it forks, so that a fork is like a new process. A test that wants a real one calls
`fast_bench.py` itself.

Reads one JSON object per line: arguments, folder, environment, and the files for the call's output; answers each with
its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

FAST = Path(__file__).parent / "fast_bench.py"
HEAVY = (
    "torch", "monai.networks", "diffusers", "sklearn.linear_model", "scipy.stats", "pandas", "matplotlib.figure",
    "tensorboard.summary", "nibabel", "pydicom", "numba", "SimpleITK", "benchmark.training.event_file",
    "benchmark.cli.run", "benchmark.cli.audit", "benchmark.evaluation.run_evaluation", "benchmark.detectors.copy",
)  # fmt: skip


def serve(timeout: float = 300) -> None:
    for name in HEAVY:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            call(request)
        answers.write(f"{ended(child, timeout)}\n")
        answers.flush()


def call(request: dict[str, Any]) -> None:
    """Become the call: never returns."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = [str(FAST), *request["arguments"]]
    runpy.run_path(str(FAST), run_name="__main__")
    raise SystemExit(0)


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
