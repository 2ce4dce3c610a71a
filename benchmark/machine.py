"""Devices and processes: what there is, and what to say when it is not enough."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.errors import MachineError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class World:
    """Which of how many training processes this one is (torchrun's RANK and WORLD_SIZE)."""

    rank: int = 0
    size: int = 1


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own GPU.

    Raises UsageError for another name and MachineError, saying what is there, for a device that is not.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    index = _gpu_index(name)
    if index >= count:
        there = "no GPU that torch can use" if not count else f"{count} GPU(s): cuda:0 to cuda:{count - 1}"
        raise MachineError(
            f"device {name} was asked for, but this machine has {there}",
            "use --device cpu, or auto to take what is there",
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def search_devices(name: str) -> tuple[str, ...]:
    """Return where a search runs: every GPU for `auto` and `cuda`, else the one device named. Raises as pick_device."""
    import torch

    one = pick_device(name)
    if one.type == "cpu" or name not in ("auto", "cuda"):
        return (str(one),)
    return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))


def _gpu_index(name: str) -> int:
    if name in ("auto", "cuda"):
        return int(os.environ.get("LOCAL_RANK", "0"))
    kind, _, index = name.partition(":")
    if kind != "cuda" or not index.isdecimal():
        raise UsageError(f"there is no device called {name!r}", "use auto, cpu, cuda or cuda:N")
    return int(index)


def join_world(device: torch.device) -> World:
    """Join the processes that torchrun started, gloo on CPU and nccl on CUDA; alone, do nothing."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    import torch.distributed as dist

    if not dist.is_initialized():
        import_module("torch.distributed.nn")  # imported later, its functions' defaults would keep the group for good
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(leave_world)
    return World(dist.get_rank(), size)


def wait_for_all(device: str) -> None:
    """Return when every process of torchrun has come here; alone, at once."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        import torch.distributed as dist

        join_world(pick_device(device))
        dist.barrier()


def leave_world() -> None:
    """End the common work of torchrun's processes: what this one trains later, it trains alone.

    Gloo's threads end with the last owner of the group, so that what DistributedDataParallel left is collected first. A
    thread that lives longer may free a tensor while Python ends, which aborts (pytorch/pytorch#179291).
    """
    if os.environ.pop("WORLD_SIZE", "1") != "1":
        import torch.distributed as dist

        if dist.is_initialized():
            gc.collect()
            dist.destroy_process_group()


def agree(world: World, answer: bool, device: torch.device) -> bool:
    """Give every process the first one's answer; alone, return it without touching the device."""
    if world.size == 1:
        return answer
    import torch
    import torch.distributed as dist

    flag = torch.tensor([answer], dtype=torch.uint8, device=device)
    dist.broadcast(flag, src=0)
    return bool(flag.item())


def share_values(net: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    import torch.distributed as dist

    for value in net.state_dict().values():
        dist.broadcast(value, src=0)


def share_buffers(net: nn.Module) -> None:
    """Give every process the first one's buffers."""
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


@contextmanager
def memory_explained(device: torch.device, batch_size: int) -> Iterator[None]:
    """Turn torch's and numpy's out-of-memory errors into a MachineError that names the batch."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _too_little_memory(device, batch_size) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):  # torch has no class of its own for the CPU's
            raise _too_little_memory(device, batch_size) from error
        raise


def _too_little_memory(device: torch.device, batch_size: int) -> MachineError:
    return MachineError(
        f"{device} has too little free memory for batches of {batch_size}",
        "set a smaller batch size (and smaller widths, if that is not enough)",
    )
