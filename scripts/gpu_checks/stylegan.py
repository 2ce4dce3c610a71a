"""NVIDIA's StyleGAN2-ADA from a checkout, with both paths of its operations."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmark.core.errors import BenchError
from benchmark.models.stylegan2_ada.checkout import find_checkout  # type: ignore[import-untyped]
from scripts.gpu_checks.check import Check, SkippedError

SCRIPT = Path(__file__).resolve().parents[1] / "check_stylegan.py"


def run(check: Check) -> None:
    """Run scripts/check_stylegan.py where there is a checkout."""
    try:
        checkout = find_checkout("")
    except BenchError as error:  # whose message names folders of this machine
        raise SkippedError("no checkout of stylegan2-ada-pytorch: set STYLEGAN2_ADA_DIR to one") from error
    command = [sys.executable, str(SCRIPT), str(checkout), "--device", check.device, "--channels", "1"]
    command += ["--steps", "8" if check.tiny else "100"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=check.folder, capture_output=True, text=True)
    print(done.stdout, done.stderr, flush=True)
    for line in done.stdout.splitlines():
        check.note(line)
    check.measure("trained, cut off, resumed, with each path of operations", time.monotonic() - began, "s")
    if done.returncode:
        raise RuntimeError(f"check_stylegan.py ended with exit code {done.returncode}")
