"""What our training loop adds to a step: timed against a bare PyTorch loop over the same networks, losses and data.

    python scripts/time_training.py [--rounds 6] [--steps 10] [--threads 1] [--family ddpm ...]

The two loops alternate in one process, so that a busy machine slows both. The bare loop draws a batch, computes each
loss that is due, takes a step of AdamW, and nothing else: no clipping, average, seeding, log or checkpoint. The time
per step is the median time between two steps; the ratio is the median over rounds of ours to bare. Sizes are those of
the smoke presets.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.devices import pick_device
from benchmark.plugins.registry import find_model, load_class
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.phases import Phase, as_phases, parameters_of

SHAPES = {
    "64x64": (1, 64, 64),
    "64x64, 5 ch.": (5, 64, 64),
    "24^3": (1, 24, 24, 24),
}


@dataclass(frozen=True)
class Case:
    """One network and how it trains."""

    name: str
    net: nn.Module
    phases: Sequence[Phase]
    items: Tensor
    batch: int
    ema: float


def smoke_adapter(name: str, dims: int, **changes: object) -> Any:
    """Return a model with its smoke preset's hyper-parameters."""
    card = find_model(name)
    preset = card.presets["smoke"]
    given = preset.set | (preset.volumes if dims == 3 else {}) | changes
    return load_class("models", card)(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})


def cases(family: str, shape: tuple[int, ...], device: torch.device) -> Iterator[Case]:
    """Yield the trainings of a family for items of a shape."""
    dims = len(shape) - 1
    adapter = smoke_adapter(family, dims, **({"autoencoder": "vq"} if family == "ldm" else {}))
    model = adapter.build(shape).to(device)
    images = torch.randint(0, 256, (256, *shape), dtype=torch.uint8, device=device)
    own = as_phases(lambda net, batch: net.loss(batch))
    if family == "ldm":
        yield Case("autoencoder", model.autoencoder, own, images, adapter.autoencoder_batch, 0.0)
    if family in ("ldm", "ddpm"):
        latents = torch.randn(256, *model.latent_shape, device=device)
        yield Case("diffusion", model.denoiser, own, latents, adapter.batch_size, adapter.ema)
    if family == "vae":
        yield Case("vae", model, own, images, adapter.batch_size, adapter.ema)
    if family == "styled-gan":
        from benchmark.models.styled_gan.model import phases

        yield Case("gan", model, phases(r1=adapter.r1, path=adapter.path), images, adapter.batch_size, adapter.ema)


def clocked(phases: Sequence[Phase], marks: list[float], device: torch.device) -> list[Phase]:
    """Return phases of which the first records the time of each call."""

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
        return phases[0].loss(net, batch)

    return [replace(phases[0], loss=loss), *phases[1:]]


def bare(case: Case, phases: Sequence[Phase], steps: int) -> None:
    """Train with the least that a training loop needs."""
    net, items = case.net.train(), case.items
    optimizers = {phase.parameters.name: torch.optim.AdamW(phase.parameters.weights(net), 1e-4) for phase in phases}
    for step in range(steps):
        picked = items[torch.randint(len(items), (case.batch,), device=items.device)]
        batch = picked.float() / 127.5 - 1 if picked.dtype == torch.uint8 else picked
        for phase in phases:
            if step % phase.every == 0:
                phase_step(net, phase, optimizers, batch)


def phase_step(net: nn.Module, phase: Phase, optimizers: dict[str, torch.optim.AdamW], batch: Tensor) -> None:
    """Take one phase's step; with several optimisers the others' weights need no gradient."""
    if len(optimizers) > 1:
        for name, other in optimizers.items():
            for weight in parameters_of(other):
                weight.requires_grad_(name == phase.parameters.name)
    optimizers[phase.parameters.name].zero_grad(set_to_none=True)
    phase.loss(net, batch).backward()
    optimizers[phase.parameters.name].step()


def ours(case: Case, phases: Sequence[Phase], steps: int) -> None:
    """Train as `bench run` does."""
    config = TrainingConfig(
        steps=steps, batch_size=case.batch, learning_rate=1e-4, ema=case.ema, log_every=5, precision="fp32"
    )
    feed, device = Resident(case.items, case.items.device), str(case.items.device)
    with tempfile.TemporaryDirectory() as folder:
        train(case.net, phases, feed, config, folder=Path(folder), seed=0, device=device)


def step_time(loop: Callable[[Case, Sequence[Phase], int], None], case: Case, steps: int) -> float:
    """Return the median time between two steps, the first two left out (first calls allocate)."""
    marks: list[float] = []
    loop(case, clocked(case.phases, marks, case.items.device), steps)
    return statistics.median(later - sooner for sooner, later in pairwise(marks[2:]))


def compare(case: Case, rounds: int, steps: int) -> tuple[float, float, float]:
    """Return seconds per step of ours and of the bare loop, and the median ratio."""
    times: dict[Any, list[float]] = {ours: [], bare: []}
    for number in range(rounds):
        for loop in (ours, bare) if number % 2 else (bare, ours):
            times[loop].append(step_time(loop, case, steps))
    ratio = statistics.median(a / b for a, b in zip(times[ours], times[bare], strict=True))
    return statistics.median(times[ours]), statistics.median(times[bare]), ratio


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--family", nargs="+", default=["ldm", "ddpm", "vae", "styled-gan"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = pick_device(given.device)
    print(f"{'network':36}{'ours':>10}{'bare':>10}{'ratio':>8}")
    for family in given.family:
        for size, shape in SHAPES.items():
            if len(shape) - 1 in find_model(family).dimensions:
                for case in cases(family, shape, device):
                    mine, plain, ratio = compare(case, given.rounds, given.steps)
                    name = f"{family}, {size}, {case.name}"
                    print(f"{name:36}{mine * 1e3:7.1f} ms{plain * 1e3:7.1f} ms{ratio:8.3f}", flush=True)


if __name__ == "__main__":
    main()
