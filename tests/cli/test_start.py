"""Scripts that call `bench` as a function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = """
import sys
from benchmark.cli.start import main

print("imported", flush=True)
sys.argv[1:] = ["datasets", "check", "folder", "--root", "films", "--image-size", "16", "--cache", "cache"]
main()
"""


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    """The process that reads its files imports it again, and would wait for the lock of the cohort for ever."""
    for patient in range(12):
        folder = tmp_path / "films" / f"patient-{patient}"
        folder.mkdir(parents=True)
        noise = np.random.default_rng(patient).integers(0, 256, (2, 16, 16)).astype(np.uint8)
        for number, film in enumerate(noise):
            Image.fromarray(film).save(folder / f"{number}.png")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "BENCH_PROCESSES": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("imported") == 2, "once by the process that reads"
    assert done.stderr.count("prepared, 24 items of 12 patients") == 1


EARLY = """
import signal
from benchmark.cli import start, supervise
signal.signal(signal.SIGINT, signal.{before})
supervise.supervised = lambda work: print(signal.getsignal(signal.SIGINT).name) or 0
start.main()
"""


@pytest.mark.parametrize(("before", "then"), [("default_int_handler", "SIG_DFL"), ("SIG_IGN", "SIG_IGN")])
def test_ctrl_c_before_the_command_has_begun_shows_no_stack_trace(before: str, then: str) -> None:
    done = subprocess.run([sys.executable, "-c", EARLY.format(before=before)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{then}\n", "")
