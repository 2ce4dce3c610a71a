"""Where training batches come from: the device's memory when the data fit there, else the disk, one batch ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.core.types import Array, Split

Batch = TypeVar("Batch", covariant=True)
SHARE_OF_MEMORY = 0.25
"""Share of the free memory that resident data may take; the rest is for the network, its gradients and activations."""
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory layout of convolutions on CUDA by the number of axes of a batch: images (4), volumes (5)."""


class Feed(Protocol[Batch]):
    """A source of batches; `loss` receives what `take` returns."""

    read_ahead: bool
    """Whether `take` waits for a disk, so that the next batch is read while the current step runs."""

    def __len__(self) -> int: ...

    def take(self, positions: NDArray[np.int64]) -> Batch:
        """Return the items at positions (n,). Draws no random numbers, since it may run in another thread."""


class Resident:
    """Items (N, C, *spatial) in the device's memory, as they are stored: uint8 stays uint8 until a batch is taken."""

    read_ahead = False

    def __init__(self, values: Tensor, device: torch.device) -> None:
        self.values = values.to(device)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, positions: NDArray[np.int64]) -> Tensor:
        """Return the items at positions (n,), (n, C, *spatial): uint8 as float32 in [-1, 1], other types unchanged."""
        index = torch.from_numpy(positions).to(self.values.device, non_blocking=True)
        return to_tensor(self.values[index])


class Streamed:
    """Items that stay on disk (memory-mapped): rows (N,) of pixels (M, C, *spatial)."""

    read_ahead = True

    def __init__(self, pixels: Array, rows: NDArray[np.int64], device: torch.device) -> None:
        self.pixels, self.rows, self.device = pixels, rows, device

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: NDArray[np.int64]) -> Tensor:
        """Return the items at positions (n,), (n, C, *spatial), float32 in [-1, 1]."""
        values = torch.from_numpy(self.pixels[self.rows[positions]])
        if self.device.type == "cuda":
            values = values.pin_memory()  # only page-locked memory is copied while the GPU computes
        return to_tensor(values.to(self.device, non_blocking=True))


def feed_split(split: Split, device: torch.device) -> Resident | Streamed:
    """Return a split's images as a feed: resident on the device when a quarter of its free memory holds them."""
    size = len(split) * split.pixels[0].nbytes if len(split) else 0
    if size > SHARE_OF_MEMORY * free_memory(device):
        return Streamed(split.pixels, split.rows, device)
    return Resident(torch.from_numpy(split.pixels[split.rows]), device)


def to_tensor(values: Tensor) -> Tensor:
    """Map stored pixels (n, C, *spatial) to images as `core.types.to_images` does; on CUDA in channels-last layout."""
    images = values.float() / 127.5 - 1 if values.dtype == torch.uint8 else values
    if images.is_cuda and images.dim() in LAYOUTS:
        return images.contiguous(memory_format=LAYOUTS[images.dim()])
    return images


def free_memory(device: torch.device) -> int:
    """Return the device's free memory in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


T = TypeVar("T")


def in_order(feed: Feed[T], batch_size: int) -> Iterator[T]:
    """Yield all items of a feed once, in their order, in batches; the last one may be smaller."""
    for start in range(0, len(feed), batch_size):
        yield feed.take(np.arange(start, min(start + batch_size, len(feed))))


def batches(feed: Feed[T], positions: Callable[[int], NDArray[np.int64]], start: int, stop: int) -> Iterator[T]:
    """Yield the batch of each step from start to stop (excluded); `positions(step)` gives its positions in the feed.

    A feed with `read_ahead` reads the next batch in a second thread while the caller uses this one.
    """
    if not feed.read_ahead:
        yield from (feed.take(positions(step)) for step in range(start, stop))
        return
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        following = reader.submit(feed.take, positions(start)) if start < stop else None
        for step in range(start, stop):
            assert following is not None
            batch = following.result()
            if step + 1 < stop:
                following = reader.submit(feed.take, positions(step + 1))
            yield batch
