"""Devices: which ones exist, and the error messages when they do not suffice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmark.core.errors import MachineError, UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """Return the device named `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own GPU.

    Raises UsageError for another name, and MachineError for a device that this machine does not have.
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


@contextmanager
def memory_explained(device: torch.device, batch_size: int) -> Iterator[None]:
    """Convert torch's and numpy's out-of-memory errors to a MachineError that names the batch size."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _too_little_memory(device, batch_size) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):  # torch raises a plain RuntimeError for the CPU's memory
            raise _too_little_memory(device, batch_size) from error
        raise


def _too_little_memory(device: torch.device, batch_size: int) -> MachineError:
    return MachineError(
        f"{device} has too little free memory for batches of {batch_size}",
        "set a smaller batch size (and smaller widths, if that is not enough)",
    )
