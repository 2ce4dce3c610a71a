"""Run by test_ray_torchrun under torchrun, in place of a run: a small training in the folder of runs."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.core.distributed import leave_world
from benchmark.core.seeding import seed_all
from benchmark.runs.config import RunConfig
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train


def reconstruction(net: nn.Module, batch: Tensor) -> Tensor:
    """Reconstruct."""
    loss: Tensor = (net(batch) - batch).square().mean()
    return loss


if __name__ == "__main__":
    config, reason = RunConfig.read(Path(sys.argv[1])), Path(sys.argv[2])
    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if config.seed == 1:
        reason.write_text("the loss is not finite", encoding="utf-8")
        raise SystemExit(5)
    torch.set_num_threads(1)
    seed_all(0)
    network, values = nn.Linear(4, 4), torch.arange(16, dtype=torch.float32)[:, None].repeat(1, 4)
    settings = TrainingConfig(steps=6, batch_size=4, learning_rate=0.01, ema=0.9, checkpoint_steps=3)
    train(
        network,
        reconstruction,
        Resident(values, torch.device("cpu")),
        settings,
        folder=config.runs,
        seed=0,
        device="cpu",
    )
    torch.save(network.state_dict(), config.runs / f"rank-{rank}-of-{size}.pt")
    leave_world()
