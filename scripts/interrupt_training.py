"""Interrupt the training of a detector again and again: does any of its commands hang, and does each say how to resume?

    python scripts/interrupt_training.py --times 50

Writes a tiny cohort, and calls `bench detectors check --detector copy` with a training that writes a line of its log at
each step. Each call is sent SIGINT at a random time after its training has begun. Prints how long the calls took to
end, and exits with 1 where one took more than five seconds, ended with another code, or printed a stack trace.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
LIMIT = 5.0
BENCH = """
from benchmark.cli.start import main
from benchmark.detectors import copy
from benchmark.training.config import TrainingConfig
from dataclasses import dataclass

@dataclass(frozen=True)
class Options(copy.Options):
    size: int = 16
    width: int = 4
    steps: int = 10**6
    batch_size: int = 8

copy.Options = Options
TrainingConfig.log_interval = lambda self: 1
main()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=50)
    times = parser.parse_args().times
    os.environ["OMP_NUM_THREADS"] = "1"
    for module in ("benchmark.cli.app", "benchmark.cli.detectors", "benchmark.detectors.copy", "benchmark.cohorts.open",
                   "benchmark.evaluation.detector_audit_run", "benchmark.training.event_file"):  # fmt: skip
        importlib.import_module(module)
    folder = Path(tempfile.mkdtemp())  # TemporaryDirectory would also remove it when a fork of this process ends
    try:
        write_images(folder / "images")
        (folder / "bench.py").write_text(BENCH)
        ends = []
        for number in range(times):
            ends.append(interrupted(folder, random.uniform(0, 0.5)))
            print(f"{number + 1}: ended in {ends[-1]:.2f} s", flush=True)
    finally:
        shutil.rmtree(folder)
    print(f"{times} calls, the slowest ended in {max(ends):.2f} s, the median in {sorted(ends)[times // 2]:.2f} s")
    return int(max(ends) > LIMIT)


def write_images(root: Path) -> None:
    """Write one image of noise for each of 24 patients."""
    for patient in range(24):
        (root / f"P{patient}").mkdir(parents=True)
        pixels = np.random.default_rng(patient).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"P{patient}" / "one.png")


def interrupted(folder: Path, delay: float) -> float:
    """Interrupt one call `delay` seconds after its training has begun, and return how long it took to end."""
    before = set(folder.glob("cache/detectors/*/tensorboard/*"))
    said = folder / "stderr"
    call = os.fork()  # of a process that has imported torch: a new one would need ten times as long
    if call == 0:
        become_bench(folder, said)
    while not set(folder.glob("cache/detectors/*/tensorboard/*")) - before:
        if os.waitpid(call, os.WNOHANG)[0]:
            raise SystemExit(said.read_text())
        time.sleep(0.02)
    time.sleep(delay)
    sent = time.monotonic()
    os.kill(call, signal.SIGINT)
    code = os.waitstatus_to_exitcode(os.waitpid(call, 0)[1])
    took, told = time.monotonic() - sent, said.read_text()
    if code != 130 or "Traceback" in told or told.splitlines()[-1] != "stopped":
        raise SystemExit(f"exit code {code}, and it said:\n{told}")
    return took


def become_bench(folder: Path, said: Path) -> None:
    """Be the command, with its messages in a file; never returns."""
    os.chdir(folder)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(file, number)
    sys.argv = ["bench", "detectors", "check", "--data", "folder", "--root", "images", "--cache", "cache"]
    sys.argv += ["--detector", "copy", "--device", "cpu"]
    try:
        runpy.run_path(str(folder / "bench.py"), run_name="__main__")
    except SystemExit as end:
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    raise SystemExit(main())
