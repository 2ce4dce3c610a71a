"""Run by test_processes under torchrun: python uneven_job.py FOLDER ITEMS BATCH WHAT; what rank 1 does at step 5."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.core.distributed import leave_world
from benchmark.core.errors import AdapterError, BenchError
from benchmark.core.seeding import seed_all
from benchmark.training.batches import Resident
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train

folder, items, batch_size, what = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
rank = int(os.environ.get("RANK", "0"))
seen: list[list[float]] = []


def loss(net: nn.Module, batch: Tensor) -> Tensor:
    """Reconstruct; rank 1 may hang, crash or end at its fifth step."""
    seen.append(batch[:, 0].tolist())
    if rank == 1 and len(seen) == 5:
        if what == "hang":
            time.sleep(3000)
        if what == "crash":
            raise AdapterError("rank 1 has found a damaged image", "export it again")
        if what == "end":
            os._exit(0)
    return (net(batch) - batch).square().mean()


(folder / f"imported-{rank}").touch()
while len(list(folder.glob("imported-*"))) < 2:  # so that BENCH_WAIT_SECONDS is no limit on the imports
    time.sleep(0.02)
seed_all(0)
network = nn.Linear(4, 4)
values = torch.arange(items, dtype=torch.float32)[:, None].repeat(1, 4)
config = TrainingConfig(steps=12, batch_size=batch_size, learning_rate=0.01, ema=0.9, checkpoint_steps=4)
try:
    train(network, loss, Resident(values, torch.device("cpu")), config, folder=folder, seed=0, device="cpu")
except BenchError as error:
    (folder / f"error-{rank}.txt").write_text(str(error))
    raise SystemExit(error.exit_code) from None
finally:
    (folder / f"seen-{rank}.json").write_text(json.dumps(seen))
torch.save(network.state_dict(), folder / f"result-{rank}.pt")
leave_world()
