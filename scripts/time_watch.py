"""What watching costs: the share of the training time that looks take, for a smoke training at 64 pixels.

    python scripts/time_watch.py [--model ddpm] [--patients 1000] [--watch 5%] [--budget 10%] [--rounds 5]

A training step, the drawing of samples and a look (300 samples compared with all real images, with the quality) are
timed in CPU seconds of this process, so that a busy machine changes little. The shares of whole trainings follow from
these: the schedule and the allowance of `bench run --watch` are run with a clock of these times. Images are smooth
noise, one per patient, as many patients on each side: what they show does not change the time.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmark.adapters.networks.latent import LatentModel
from benchmark.core.types import Split
from benchmark.evaluation.watch import SAMPLES, open_watch
from benchmark.evaluation.watch_plan import Allowance, Schedule
from benchmark.plugins.registry import find_model, load_class

SIDE = 64
DRAWN = 16
"""Samples that are timed; a look draws more, at the same time per sample."""
LENGTHS = (1, 10, 100)
"""Lengths of training, in multiples of the smoke preset's."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds."""

    step: float
    sample: float
    look: float


def split(name: str, count: int, seed: int) -> Split:
    """Return smooth images (count, 1, SIDE, SIDE), uint8, one per patient."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 1, 9, 9)).astype(np.float32))
    pixels = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear").numpy().astype(np.uint8)
    names = tuple(f"{name}{number}" for number in range(count))
    return Split(name=name, pixels=pixels, rows=np.arange(count), subjects=names, items=names, channels=("x",))


def adapter_of(name: str) -> Any:
    """Return a diffusion model at its smoke preset."""
    given = find_model(name).presets["smoke"].set
    return load_class("models", find_model(name))(
        **{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    )


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median CPU time of some calls, after one that is not timed."""
    times = []
    for _ in range(rounds + 1):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return float(np.median(times[1:]))


def costs(adapter: Any, train: Split, heldout: Split, rounds: int) -> Costs:
    """Time a step, a sample and a look."""
    model: LatentModel = adapter.build(train.shape)
    with torch.no_grad():
        batch = model.autoencoder.encode(torch.from_numpy(train.images(slice(0, adapter.batch_size))))
    optimizer = torch.optim.AdamW(model.denoiser.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        model.denoiser.loss(batch).backward()
        optimizer.step()

    def sample() -> None:
        with torch.no_grad():
            adapter.generate(model, 0, slice(0, DRAWN))

    watch, samples = open_watch(train, heldout, every=1), heldout.images(slice(0, SAMPLES))
    looking = seconds(lambda: watch.update(1, samples), rounds)
    return Costs(seconds(step, rounds), seconds(sample, min(2, rounds)) / DRAWN, looking)


def simulate(cost: Costs, steps: int, every: float, budget: float) -> tuple[int, int, float, float]:
    """Return looks, samples, and the shares of drawing and of comparing in the time of a training."""
    schedule, allowance = Schedule(max(1, round(every * steps))), Allowance(budget, SAMPLES)
    allowance.note(1, cost.sample, 0.0)  # the probe
    due, looks, samples = schedule.every, 0, 0
    for step in range(1, steps + 1):
        count = allowance.affordable(step * cost.step) if step >= due else 0
        if count:
            allowance.note(count, count * cost.sample, cost.look)
            due, looks, samples = schedule.following(step), looks + 1, samples + count
    return looks, samples, allowance.sampling / (steps * cost.step), allowance.search / (steps * cost.step)


def share(text: str) -> float:
    """Read 5% as 0.05."""
    return float(text.removesuffix("%")) / 100


def main() -> None:
    """Print what was timed, and one line per length of training and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ddpm", choices=["ddpm", "ldm"])
    parser.add_argument("--patients", type=int, default=1000, help="on each side")
    parser.add_argument("--watch", default="5%")
    parser.add_argument("--budget", default="10%")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    adapter = adapter_of(given.model)
    cost = costs(adapter, split("t", given.patients, 0), split("h", given.patients, 1), given.rounds)
    print(f"{given.model}: {cost.step:.3f} s per step, {cost.sample:.3f} s per sample, {cost.look:.3f} s per look")
    print(f"{'steps':>8}{'budget':>8}{'looks':>7}{'samples':>9}{'drawing':>9}{'comparing':>11}")
    for length in LENGTHS:
        for budget in (share(given.budget), 10.0):
            steps = length * adapter.steps
            looks, samples, drawing, comparing = simulate(cost, steps, share(given.watch), budget)
            name = f"{budget:.0%}"
            print(f"{steps:8}{name:>8}{looks:7}{samples:9}{drawing:9.1%}{comparing:11.2%}", flush=True)


if __name__ == "__main__":
    main()
