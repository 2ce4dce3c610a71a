"""Run by test_loop in processes of its own: python training_job.py FOLDER STEPS, after which it waits; 0 for never."""

import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.core.distributed import leave_world
from benchmark.core.seeding import seed_all
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train

folder, most = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
with (folder / "pids").open("a") as pids:
    pids.write(f"{os.getpid()}\n")
taken = 0


def loss(net: nn.Module, batch: Tensor) -> Tensor:
    """Reconstruct noisy input, until it is time to wait."""
    global taken
    if taken == most > 0:
        (folder / f"waits-{rank}").touch()
        time.sleep(600)
    taken += 1
    return (net(batch + 0.1 * torch.randn_like(batch)) - batch).square().mean()


rank = int(os.environ.get("RANK", "0"))
seed_all(0, rank)  # processes start from different weights: joining must give them the first one's
network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 4))
items = Resident(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), torch.device("cpu"))
config = TrainingConfig(steps=30, batch_size=4, learning_rate=0.01, ema=0.9, checkpoint_steps=4)
trained = train(network, loss, items, config, folder=folder, seed=0, device="cpu")
torch.save(trained.state_dict(), folder / f"result-{rank}.pt")
leave_world()
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
(folder / f"threads-{rank}.txt").write_text("\n".join(names))
