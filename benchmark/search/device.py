"""The search of 8-bit images on a GPU: int8 products on tensor cores, correlations and the best of a block in float64.

Nothing here needs CUDA: on the device `cpu` the tests compare every answer with that of the compiled loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmark.search.device_products import int_product
from benchmark.search.rounding import MAX_PIXELS_FLOAT64
from benchmark.search.topk import Best
from benchmark.search.uint8 import Uint8Block, prepare_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DeviceBlock:
    """A `Uint8Block` on a device."""

    rows: Tensor
    """(n, D) int8."""
    sums: Tensor
    """(n,) float64 or int64."""
    variances: Tensor
    """(n,) float64."""
    ready: torch.cuda.Event | None = None
    """Is recorded when the copy is done; None where nothing was copied."""

    @classmethod
    def of(cls, block: Uint8Block, device: str) -> DeviceBlock:
        """Copy a block, from pinned memory and on a stream of its own, so that it runs while products are computed."""
        rows, sums, variances = (torch.from_numpy(array) for array in (block.rows, block.sums, block.variances))
        if device == "cpu":
            return cls(rows, sums, variances)

        def copy(array: Tensor) -> Tensor:
            return array.pin_memory().to(device, non_blocking=True)

        stream = _copying(device)
        with torch.cuda.stream(stream):
            return cls(copy(rows), copy(sums), copy(variances), stream.record_event())

    def wait(self) -> None:
        """Let what follows on this device wait for the copy.

        `record_stream` tells torch's allocator that another stream uses the copies: it would reuse their memory.
        """
        if self.ready is not None:
            stream = torch.cuda.current_stream(self.rows.device)
            stream.wait_event(self.ready)
            for copy in (self.rows, self.sums, self.variances):
                copy.record_stream(stream)

    def correlations(self, other: DeviceBlock) -> Tensor:
        """Return all correlations of two blocks, (n, m) float64, as `kernels_lists.correlation` computes them."""
        self.wait()
        other.wait()
        # As on the CPU: float64 holds n Sxy up to 2^19 pixels, int64 beyond; float32 would not even hold Sxy.
        product, size = int_product(self.rows, other.rows), self.rows.shape[1]
        exact = product.double() if size <= MAX_PIXELS_FLOAT64 else product
        numerators = size * exact - self.sums[:, None] * other.sums[None]
        roots = (self.variances[:, None] * other.variances[None]).sqrt()
        return torch.where(roots > 0, numerators.double() / roots, 0.0).clamp(-1.0, 1.0)


@cache
def _copying(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@dataclass(frozen=True)
class DeviceEngine:
    """Exact search of 8-bit rows on a device; an `engine.Engine`."""

    device: str
    name: str = "int8 (device)"
    number_bytes: int = 2

    def prepare(self, rows: NDArray[np.uint8]) -> DeviceBlock:
        """Shift and sum rows (n, D), and copy them to the device."""
        return DeviceBlock.of(prepare_uint8(rows), self.device)

    def constant(self, block: DeviceBlock) -> int:
        """Count rows without variance."""
        block.wait()
        return int((block.variances == 0).sum())

    def scan(self, queries: DeviceBlock, bank: DeviceBlock, offset: int, best: Best) -> int:
        """Merge the best of a block into the lists; return 0: no pair is scored separately."""
        block_best = _greatest(queries.correlations(bank), min(best.values.shape[1], len(bank.rows)), offset)
        _merge(best, block_best)
        return 0


def _greatest(block: Tensor, depth: int, offset: int) -> Best:
    """Return the lists of a block (n, m), (n, depth), whose first item is at `offset` in the bank; it is changed.

    The lowest place comes first among equals, which torch.topk does not promise: the greatest value is found and
    overwritten `depth` times.
    """
    columns = torch.arange(block.shape[1], device=block.device)
    values, places, ties = [], [], None
    for _ in range(depth):
        most = block.max(dim=1, keepdim=True).values
        # Exact equality: values of the same integers are the same float64 numbers.
        equal = block == most
        first = torch.where(equal, columns, block.shape[1]).min(dim=1, keepdim=True).values
        ties = equal.sum(dim=1) - 1 if ties is None else ties
        values.append(most)
        places.append(first)
        block.scatter_(1, first, -torch.inf)
    assert ties is not None
    lists = torch.cat(values, 1), torch.cat(places, 1) + offset, ties
    return Best(*(one.cpu().numpy() for one in lists))


def _merge(best: Best, block_best: Best) -> None:
    """Merge the lists of a block into running ones; the same item seen in another view keeps its best value."""
    from benchmark.search.kernels_lists import merge_lists

    merge_lists(best.values, best.places, best.ties, block_best.values, block_best.places, block_best.ties)


def correlations(queries: Uint8Block, bank: Uint8Block, device: str) -> NDArray[np.float32]:
    """Return all correlations of two blocks in host memory, computed on a device, (n, m) float32."""
    on_device = DeviceBlock.of(queries, device).correlations(DeviceBlock.of(bank, device))
    block: NDArray[np.float32] = on_device.float().cpu().numpy()
    return block
