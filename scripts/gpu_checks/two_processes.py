"""A training that several processes share, as `torchrun` starts it: python two_processes.py FOLDER DEVICE."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from benchmark.core.devices import pick_device
from benchmark.core.distributed import leave_world
from benchmark.core.seeding import seed_all
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from scripts.gpu_checks.families import cases

FAMILIES = ("ddpm", "styled-gan")
"""One loss, which DistributedDataParallel shares, and losses that take turns, whose gradients the loop shares."""
STEPS = 6


def main() -> None:
    """Train each family for a few steps, and leave this process's weights."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    rank = os.environ.get("RANK", "0")
    if name == "cpu":
        torch.set_num_threads(1)
    device = pick_device(name)
    for family in FAMILIES:
        seed_all(0, int(rank))  # processes start apart: joining gives them the first one's weights
        case = next(cases(family, "toy", 2, device))
        recipe = TrainingConfig(steps=STEPS, batch_size=4, learning_rate=1e-3, ema=case.ema, precision="fp32")
        net = train(case.net, case.phases, case.feed, recipe, folder=folder / family, seed=0, device=name)
        torch.save({key: value.cpu() for key, value in net.state_dict().items()}, folder / f"{family}-{rank}.pt")
    leave_world()


if __name__ == "__main__":
    main()
