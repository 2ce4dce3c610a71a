"""Check the official StyleGAN2-ADA from a checkout: does it train, resume exactly after a kill, and sample?

    bench models install stylegan2-ada --accept-licence
    python scripts/check_stylegan.py [CHECKOUT] [--device cuda] [--steps 200] [--channels 1 5]

For 64 x 64 pixels, each number of channels and adaptive augmentation: train once without interruption, train once more,
kill that training half-way and start it again, and compare the weights; time the steps and check 16 samples. On CUDA
both kinds of operations are timed: `reference`, and `cuda`, which compiles the repository's own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.types import Budget, Split
from benchmark.models.stylegan2_ada.adapter import StyleGAN2ADA
from benchmark.models.stylegan2_ada.checkout import find_checkout

SIDE = 64
OPTIONS = {"channel_base": 1024, "channel_max": 32, "latent": 64, "batch_size": 8, "ada_kimg": 2.0}


def images(channels: int) -> Split:
    """Return 64 smooth random images."""
    rng = np.random.default_rng(channels)
    coarse = rng.uniform(0, 255, (64, channels, 8, 8))
    pixels = np.kron(coarse, np.ones((SIDE // 8, SIDE // 8))).astype(np.uint8)
    names = tuple(map(str, range(len(pixels))))
    return Split(
        name="train", pixels=pixels, rows=np.arange(64), subjects=names, items=names, channels=("c",) * channels
    )


def work(given: argparse.Namespace) -> None:
    """Train in a worker of this process, check samples, and write the seconds per step."""
    adapter = StyleGAN2ADA(checkout=given.checkout, ops=given.ops, steps=given.steps, **OPTIONS)
    started = time.monotonic()
    split = images(given.channels[0])
    adapter.fit(split, folder=given.work, budget=Budget(), seed=0, device=given.device)
    seconds = (time.monotonic() - started) / given.steps
    drawn = np.concatenate(list(adapter.sample(16, seed=1)))
    assert drawn.shape == (16, *split.shape)
    assert np.abs(drawn).max() <= 1
    facts = {"seconds": seconds, **adapter._repository}
    (given.work / "facts.json").write_text(json.dumps(facts))


def start(given: argparse.Namespace, ops: str, channels: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a training in its own process group."""
    options = ["--device", given.device, "--steps", str(given.steps), "--channels", str(channels)]
    command = [sys.executable, __file__, given.checkout, *options, "--ops", ops, "--work", str(folder)]
    environment = {**os.environ, "BENCH_CHECKPOINT_STEPS": str(max(1, given.steps // 8))}
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a training; exit where it failed."""
    if process.wait():
        raise SystemExit(f"training ended with exit code {process.returncode}")


def kill_half_way(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    """Kill a training with all its processes, some time after its first checkpoint."""
    while not (folder / "training.pt").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check(given: argparse.Namespace, ops: str, channels: int) -> str:
    """Return one line for a kind of operations and a number of channels."""
    with tempfile.TemporaryDirectory() as place:
        whole, cut = Path(place) / "whole", Path(place) / "cut"
        for folder in (whole, cut):
            folder.mkdir()
        finish(start(given, ops, channels, whole))
        facts: dict[str, Any] = json.loads((whole / "facts.json").read_text())
        kill_half_way(start(given, ops, channels, cut), cut, 0.3 * given.steps * facts["seconds"])
        killed = not (cut / "facts.json").exists()
        finish(start(given, ops, channels, cut))
        weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, cut)]
        same = "equal weights" if weights[0] == weights[1] else "OTHER WEIGHTS"
    return (
        f"{channels} channels, ops {facts['ops']}, commit {facts['commit'][:7]}: {given.steps} steps, "
        f"{facts['seconds']:.3f} s per step, augmentation {facts['augmentation_probability']:.3f}, "
        f"patches {facts['patches'] or 'none'}; {'killed and resumed' if killed else 'NOT KILLED'}: {same}"
    )


def main() -> None:
    """Print one line per check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--ops", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.checkout = str(find_checkout(given.checkout))
    if given.work:
        work(given)
        return
    for ops in ("reference", "cuda") if given.device.startswith("cuda") else ("reference",):
        for channels in given.channels:
            print(check(given, ops, channels), flush=True)


if __name__ == "__main__":
    main()
