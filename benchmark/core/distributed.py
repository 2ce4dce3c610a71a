"""The training processes that torchrun started: joining their group, and exchanging values in it.

A process that hangs or has ended would leave the others waiting without a word. Each waits for so many seconds
(`WAIT_SECONDS`, or BENCH_WAIT_SECONDS); then the error names the processes that did not come. They find each other in
torchrun's store, which outlives every process and does not depend on the devices.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

from benchmark.core.devices import pick_device
from benchmark.core.errors import BenchError, MachineError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

WAIT_SECONDS = 600.0
"""How long a process waits for the others: longer than a checkpoint takes to write, and no night."""
LAST_CALL_SECONDS = 5.0
"""How long a process whose exchange has failed waits for those that fail for the same reason: they are not to blame."""
_meetings = count()
_store: Any = None
"""Torchrun's store, once this process has joined."""


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
        global _store
        limit = timedelta(seconds=wait_seconds())
        _store, rank, size = next(iter(dist.rendezvous("env://", timeout=limit)))  # type: ignore[attr-defined]
        meet(World(rank, size), "the start")
        nccl = device.type == "cuda"
        # NCCL ends the process when its time is over, and names nobody: `meet` has to be first.
        dist.init_process_group(
            "nccl" if nccl else "gloo", rank=rank, world_size=size, timeout=2 * limit if nccl else limit,
            store=dist.PrefixStore("group", _store),  # type: ignore[attr-defined]
        )  # fmt: skip
        atexit.register(leave_world)
    return World(dist.get_rank(), size)


def wait_seconds() -> float:
    """Return how many seconds a process waits for the others. Raises UsageError."""
    given = os.environ.get("BENCH_WAIT_SECONDS", str(WAIT_SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"BENCH_WAIT_SECONDS is {given!r}", "give a number of seconds above 0, such as 600")
    return seconds


def wait_for_all(device: str) -> None:
    """Block until every process of torchrun has called this; a single process continues at once."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        meet(join_world(pick_device(device)), "the start of training")


def meet(world: World, place: str) -> None:
    """Wait until all processes have come here; a single process continues at once.

    Every process has to call this equally often. Raises MachineError that names the missing ones, and `place`.
    """
    if world.size == 1:
        return
    missing = _missing(world, f"meeting/{next(_meetings)}", wait_seconds())
    if missing:
        raise _unanswered(world, missing, f"at {place}")


@contextmanager
def exchange_explained(world: World) -> Iterator[None]:
    """Convert the failure of an exchange between processes to a MachineError that names those that did not answer."""
    try:
        yield
    except BenchError:
        raise
    except RuntimeError as error:
        if world.size == 1 or not _failed_exchange(error):
            raise
        missing = _missing(world, "failed", LAST_CALL_SECONDS)
        if not missing:
            raise
        raise _unanswered(world, missing, "in a training step") from error


def _failed_exchange(error: RuntimeError) -> bool:
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()  # gloo raises plain RuntimeErrors


def _missing(world: World, name: str, seconds: float) -> list[int]:
    """Sign in the store by this name, and return which processes have not done so within these seconds."""
    _store.set(f"{name}/{world.rank}", "here")
    names = [f"{name}/{rank}" for rank in range(world.size)]
    try:
        _store.wait(names, timedelta(seconds=seconds))
    except RuntimeError:
        return [rank for rank, one in enumerate(names) if not _store.check([one])]
    return []


def _unanswered(world: World, missing: list[int], where: str) -> MachineError:
    names = ", ".join(map(str, missing))
    return MachineError(
        f"process {names} of {world.size} (the first is 0) did not answer {where}: it has ended, or hangs",
        f"its own last message says why; if it is only slow, wait longer: BENCH_WAIT_SECONDS={2 * wait_seconds():g}",
    )


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
