"""The search of 8-bit images on a GPU: int8 products on tensor cores, correlations and the best of a block in float64.

Nothing here needs CUDA: on the device `cpu` the tests compare every answer with that of the compiled loops.

The device's memory holds the queries of a pass over the bank, a few blocks of the bank, and the pairs of queries and
items that are compared at once. Each may take a third of what `free_memory` allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmark.core.types import chunks
from benchmark.search.device_products import LEAST_ROWS, MULTIPLE, int_product
from benchmark.search.rounding import MAX_PIXELS_FLOAT64
from benchmark.search.topk import Best
from benchmark.search.uint8 import Uint8Block, prepare_uint8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHARE_OF_MEMORY = 0.8
"""Share of the device's free memory that a search takes at most. The rest is for cuBLAS's workspace, for copies that
are padded to the sizes of the int8 product, and for memory that the allocator cannot use as it is in small pieces."""
PAIR_BYTES = 18
"""Bytes per pair of a query and an item while they are compared: a float64 numerator, a float64 denominator, and two
masks of one byte (`DeviceBlock.correlations`). The product, int32 or int64, is freed before the denominators are
allocated; the search for the greatest needs 17, the correlation, a mask and an int64 place (`_greatest`)."""


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
        size = self.rows.shape[1]
        exact_type = torch.float64 if size <= MAX_PIXELS_FLOAT64 else torch.int64
        # In place, which computes the same numbers in less than half of the memory (`PAIR_BYTES`).
        numerators = int_product(self.rows, other.rows).to(exact_type).mul_(size)
        numerators = numerators.sub_(self.sums[:, None] * other.sums[None]).double()
        roots = (self.variances[:, None] * other.variances[None]).sqrt_()
        # Zero variance: 0 / 0 is NaN, and the similarity is defined as 0.
        return numerators.div_(roots).masked_fill_(~(roots > 0), 0.0).clamp_(-1.0, 1.0)

    def part(self, part: slice) -> DeviceBlock:
        """Return some of the rows, without copying."""
        return DeviceBlock(self.rows[part], self.sums[part], self.variances[part], self.ready)

    @classmethod
    def joined(cls, blocks: Sequence[DeviceBlock]) -> DeviceBlock:
        """Return the rows of several blocks on one device as one block."""
        for block in blocks:
            block.wait()
        return cls(
            torch.cat([block.rows for block in blocks]),
            torch.cat([block.sums for block in blocks]),
            torch.cat([block.variances for block in blocks]),
        )


@cache
def _copying(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@dataclass(frozen=True)
class DeviceEngine:
    """Exact search of 8-bit rows on a device; an `engine.Engine` and an `engine.OnDevice`."""

    device: str
    memory: int
    """Bytes of the device's memory that it may take."""
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
        depth = min(best.values.shape[1], len(bank.rows))
        for part in chunks(len(queries.rows), self._height(len(bank.rows))):
            block_best = _greatest(queries.part(part).correlations(bank), depth, offset)
            _merge(best.rows(part), block_best)
        return 0

    def join(self, blocks: Sequence[DeviceBlock]) -> DeviceBlock:
        """Return blocks as one."""
        return DeviceBlock.joined(blocks)

    def _height(self, width: int) -> int:
        """Return how many queries are compared with `width` items at once: a third of the memory is for pairs."""
        return whole_tiles(self.memory // 3 // (PAIR_BYTES * width))


def whole_tiles(count: int) -> int:
    """Return a number of rows, at least 1 and at most `count`, that the int8 product takes without a padded copy."""
    return max(1, count - count % MULTIPLE if count >= LEAST_ROWS else count)


def free_memory(device: str) -> int:
    """Return the bytes of a GPU's memory that a search may take.

    They are `SHARE_OF_MEMORY` of what is free, rounded down to a power of two, so that an interrupted search finds the
    same sizes of blocks, and resumes, although other processes take a little more or less than before. Memory that
    torch keeps for later tensors of this process is free too.
    """
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return rounded_share(torch.cuda.mem_get_info(device)[0] + kept)


def rounded_share(free: int) -> int:
    """Return the greatest power of two up to `SHARE_OF_MEMORY` of `free` bytes; at least 1."""
    return 1 << max(0, int(SHARE_OF_MEMORY * free).bit_length() - 1)


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
