"""Two processes by torchrun: do they end with equal weights?"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from scripts.gpu_checks.check import Check, SkippedError
from scripts.gpu_checks.same import differing
from scripts.gpu_checks.two_processes import FAMILIES

JOB = Path(__file__).with_name("two_processes.py")


def run(check: Check) -> None:
    """Train with two processes, one per GPU, and compare what they hold."""
    if check.cuda and (count := torch.cuda.device_count()) < 2:
        raise SkippedError(f"this machine has {count} GPU, and two are needed")
    with TemporaryDirectory(dir=check.folder) as name:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(JOB), name,
            "cuda" if check.cuda else "cpu",
        ]  # fmt: skip
        began = time.monotonic()
        with check.trying("two processes", "two-processes"):
            subprocess.run(command, check=True, timeout=check.left())
            compare(check, Path(name), time.monotonic() - began)


def compare(check: Check, folder: Path, seconds: float) -> None:
    """Keep how many weights of each family differ between the processes."""
    check.measure("two processes, start and end included", seconds, "s")
    for family in FAMILIES:
        first, second = (torch.load(folder / f"{family}-{rank}.pt", weights_only=True) for rank in (0, 1))
        check.measure(f"{family}, two processes", differing(first, second), "different tensors", goal="two-processes")
