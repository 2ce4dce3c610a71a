"""Calls of `bench` as forks of one process: tests/runs/bench_server.py says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

RUNS = Path(__file__).parents[1] / "runs"
FAST = RUNS / "fast_bench.py"


class BenchServer:
    """The process whose forks are the calls, started with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def call(self, folder: Path, *arguments: object, script: Path = FAST) -> subprocess.CompletedProcess[str]:
        """Call the command line in a folder, with the environment of this process."""
        with TemporaryDirectory() as outputs:
            files = {name: f"{outputs}/{name}" for name in ("stdout", "stderr")}
            request = {"script": str(script), "arguments": list(map(str, arguments)), "folder": str(folder)}
            code = self._answer({**request, **files, "environment": dict(os.environ)})
            printed, told = (Path(path).read_text() for path in files.values())
        return subprocess.CompletedProcess(list(map(str, arguments)), code, printed, told)

    def end(self) -> None:
        if self._process is not None:
            self._process.communicate()

    def _answer(self, request: dict[str, object]) -> int:
        if self._process is None:
            command = [sys.executable, str(RUNS / "bench_server.py")]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())
