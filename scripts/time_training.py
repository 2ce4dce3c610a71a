"""What our training loop adds to a step: timed against a bare PyTorch loop over the same network and data.

    python scripts/time_training.py [--rounds 6] [--steps 10] [--threads 1]

The two loops take turns in one process, so that a busy machine slows both. The bare loop draws a batch, computes the
loss, steps AdamW, and nothing else: no clipping, average, seeding, log or checkpoint. A step's time is the median of
the time between two calls of the loss; the ratio is the median over rounds of ours to bare.
"""

import argparse
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.feeding import Resident
from benchmark.machine import pick_device
from benchmark.models.ldm.adapter import LatentDiffusion
from benchmark.recipe import Recipe
from benchmark.training import train

ROOT = Path(__file__).parents[1]


def smoke_adapter(dims: int) -> LatentDiffusion:
    """Return ldm with its smoke preset's hyper-parameters, but an autoencoder that is trained step by step."""
    preset = tomllib.loads((ROOT / "models/ldm/card.toml").read_text())["presets"]["smoke"]
    given = preset["set"] | (preset["volumes"] if dims == 3 else {}) | {"autoencoder": "vq"}
    return LatentDiffusion(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})


def clocked(marks: list[float], device: torch.device) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return the networks' own loss, noting when it is called."""

    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
        return net.loss(batch)

    return loss


def bare(net: nn.Module, loss: Callable[[nn.Module, Tensor], Tensor], items: Tensor, batch: int, steps: int) -> None:
    """Train as little as can be called training."""
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
    for _ in range(steps):
        picked = items[torch.randint(len(items), (batch,), device=items.device)]
        optimizer.zero_grad(set_to_none=True)
        loss(net, picked.float() / 127.5 - 1 if picked.dtype == torch.uint8 else picked).backward()
        optimizer.step()


def step_time(marks: list[float]) -> float:
    """Return the median time between two calls, the first two left out (first calls allocate)."""
    return statistics.median(later - sooner for sooner, later in pairwise(marks[2:]))


def compare(
    net: nn.Module, items: Tensor, batch: int, ema: float, rounds: int, steps: int
) -> tuple[float, float, float]:
    """Return seconds a step of ours and of the bare loop, and the median ratio."""
    ours, plain = [], []
    recipe = Recipe(steps=steps, batch_size=batch, learning_rate=1e-4, ema=ema, log_every=5, precision="fp32")
    for number in range(rounds):
        for loop in ("ours", "bare") if number % 2 else ("bare", "ours"):
            marks: list[float] = []
            loss = clocked(marks, items.device)
            if loop == "bare":
                bare(net.train(), loss, items, batch, steps)
                plain.append(step_time(marks))
                continue
            with tempfile.TemporaryDirectory() as folder:
                train(
                    net,
                    loss,
                    Resident(items, items.device),
                    recipe,
                    folder=Path(folder),
                    seed=0,
                    device=str(items.device),
                )
            ours.append(step_time(marks))
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    return statistics.median(ours), statistics.median(plain), ratio


def main() -> None:
    """Print one line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = pick_device(given.device)
    print(f"{'network':24}{'ours':>10}{'bare':>10}{'ratio':>8}")
    for name, shape in (
        ("64x64, 1 channel", (1, 64, 64)),
        ("64x64, 5 channels", (5, 64, 64)),
        ("24^3, 1 channel", (1, 24, 24, 24)),
    ):
        adapter = smoke_adapter(len(shape) - 1)
        model = adapter._build(shape).to(device)
        images = torch.randint(0, 256, (256, *shape), dtype=torch.uint8, device=device)
        latents = torch.randn(256, *model.latent_shape, device=device)
        stages = (
            ("autoencoder", model.autoencoder, images, adapter.autoencoder_batch, 0.0),
            ("diffusion", model.denoiser, latents, adapter.batch_size, adapter.ema),
        )
        for stage, net, items, batch, ema in stages:
            ours, plain, ratio = compare(net, items, batch, ema, given.rounds, given.steps)
            print(f"{name + ', ' + stage[:4]:24}{ours * 1e3:7.1f} ms{plain * 1e3:7.1f} ms{ratio:8.3f}", flush=True)


if __name__ == "__main__":
    main()
