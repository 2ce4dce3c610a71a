"""An end-to-end `bench run` on phantom data made on the spot: does it end well, and what does each stage take?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from scripts.gpu_checks.check import Check

ROOT = Path(__file__).resolve().parents[2]
FAST = ROOT / "tests" / "runs" / "fast_bench.py"
"""`bench` with a copy detector that trains in seconds: for rehearsals."""
SHORT = (
    "--preset", "small", "--data", "phantom-mr", "--set-data", "patients=24", "--budget-seconds", "60",
    "--samples", "500",
)  # fmt: skip
REHEARSED = (
    "--preset", "smoke", "--data", "phantom-mr", "--channels", "t1", "--set-data", "patients=4", "--image-size", "32",
    "--budget-seconds", "2", "--samples", "20", "--set", "autoencoder_widths=8,16",
    "--set", "latent_channels=4", "--set", "widths=16", "--set", "attention=0", "--set", "head_channels=8",
    "--set", "sampling_steps=2",
)  # fmt: skip


SCORES = ("exposed.items[copy]", "exposed.patients[pixels]", "copies.rate[pixels]", "quality.frechet[random-conv]")


def run(check: Check) -> None:
    """Run once, then once more from the cache."""
    command = [sys.executable, *([str(FAST)] if check.tiny else ["-m", "benchmark"]), "run", "--model", "ldm"]
    command += [*(REHEARSED if check.tiny else SHORT), "--device", check.device]
    for name in ("bench run", "the same again, from the cache"):
        if name == "bench run" or check.enough(10, name):
            began = time.monotonic()
            done = subprocess.run(command, cwd=check.folder)
            check.measure(name, time.monotonic() - began, "s")
            check.measure(f"{name}: exit code", done.returncode, goal="run")
    stages(check)


def stages(check: Check) -> None:
    """Keep the run's cost and some scores, or why a score has no value."""
    for path in sorted((check.folder / "runs").rglob("record.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for name, value in record["cost"].items():
            check.measure(f"cost: {name}", value)
        check.note(f"searches: {record['environment'].get('search')}")
        for name in SCORES:
            score = record["scores"][name]
            if score["value"] is None:
                check.note(f"{name} has no value: {score['reason']}")
            else:
                check.measure(name, score["value"])
