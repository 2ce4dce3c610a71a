"""Run by test_phases in processes of its own: python phases_job.py FOLDER."""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.core.distributed import leave_world
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train
from benchmark.training.phases import ParameterGroup, Phase

folder, rank = Path(sys.argv[1]), os.environ.get("RANK", "0")
torch.set_num_threads(1)
folder.mkdir(exist_ok=True)


class Pair(nn.Module):
    """Two layers that alternating phases update."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(int(rank))  # joining must give every process the first one's weights
        self.one, self.other = nn.Linear(2, 1), nn.Linear(2, 1)


def loss(net: Pair, batch: Tensor) -> Tensor:
    """Add up both layers' outputs."""
    return (net.one(batch) + net.other(batch) - 1).square().mean()


items = Resident(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), torch.device("cpu"))
phases = [Phase("a", loss, ParameterGroup("one")), Phase("b", loss, ParameterGroup("other"), every=2)]
trained = train(
    Pair(),
    phases,
    items,
    TrainingConfig(steps=8, batch_size=4, learning_rate=0.01),
    folder=folder,
    seed=0,
    device="cpu",
)
torch.save(trained.state_dict(), folder / f"result-{rank}.pt")
leave_world()
