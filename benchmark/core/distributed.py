"""The training processes that torchrun started: joining their group, and exchanging values in it."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.core.devices import pick_device

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class World:
    """This process's number among the training processes, and how many there are (torchrun's RANK and WORLD_SIZE)."""

    rank: int = 0
    size: int = 1


def join_world(device: torch.device) -> World:
    """Join the group of processes that torchrun started (gloo on CPU, nccl on CUDA); a single process joins none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    import torch.distributed as dist

    if not dist.is_initialized():
        import_module("torch.distributed.nn")  # imported later, its functions' defaults would keep the group alive
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(leave_world)
    return World(dist.get_rank(), size)


def wait_for_all(device: str) -> None:
    """Block until every process of torchrun has called this; a single process continues at once."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        import torch.distributed as dist

        join_world(pick_device(device))
        dist.barrier()


def leave_world() -> None:
    """Leave the group of torchrun's processes: what this process trains later, it trains alone.

    Gloo's threads end when the last object that refers to the group is freed, so garbage of DistributedDataParallel is
    collected first. A thread that outlives the interpreter may free a tensor and abort (pytorch/pytorch#179291).
    """
    if os.environ.pop("WORLD_SIZE", "1") != "1":
        import torch.distributed as dist

        if dist.is_initialized():
            gc.collect()
            dist.destroy_process_group()


def agree(world: World, answer: bool, device: torch.device) -> bool:
    """Return the first process's answer in every process; a single process returns its own without using the device."""
    if world.size == 1:
        return answer
    import torch
    import torch.distributed as dist

    flag = torch.tensor([answer], dtype=torch.uint8, device=device)
    dist.broadcast(flag, src=0)
    return bool(flag.item())


def share_values(net: nn.Module) -> None:
    """Copy the first process's weights and buffers to every process."""
    import torch.distributed as dist

    for value in net.state_dict().values():
        dist.broadcast(value, src=0)


def share_buffers(net: nn.Module) -> None:
    """Copy the first process's buffers to every process."""
    import torch.distributed as dist

    for value in net.buffers():
        dist.broadcast(value, src=0)


def share_gradients(weights: Sequence[torch.Tensor], world: World) -> None:
    """Replace each gradient by its mean over the processes; a weight without one counts as 0."""
    import torch
    import torch.distributed as dist

    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world.size
    for weight, gradient, mean in zip(weights, gradients, flat.split([one.numel() for one in weights]), strict=True):
        weight.grad = gradient.copy_(mean.view(weight.shape))  # in the weight's own layout, as fused AdamW needs it
