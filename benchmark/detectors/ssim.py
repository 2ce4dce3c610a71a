"""Detector `ssim`: mean structural similarity (Wang et al. 2004) over uniform windows.

SSIM is not an inner product, so it has a comparison of its own: the local covariances of all pairs of items are one
matrix product per window; local means and variances are computed once per item.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.types import chunks

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images, Split

C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
"""The constants of the paper for a range of 2."""
PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Options:
    """The options of `ssim`."""

    size: int = 64
    """Pixels per side that larger 2D items are reduced to, by area averaging."""
    volume_size: int = 32
    """The same for volumes."""
    window: int = 8
    """Pixels per side of a window; windows overlap by half."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Ssim:
        """Return the detector; nothing is trained."""
        dims = len(real.shape) - 1
        most = self.size if dims == 2 else self.volume_size
        spatial = tuple(min(side, most) for side in real.shape[1:])
        window = min(self.window, *spatial)
        return Ssim(Windows((real.shape[0], *spatial), window, max(1, window // 2)))


@dataclass(frozen=True)
class Windows:
    """Compares flattened items (N, C * pixels) by SSIM, averaged over windows and channels; -1 to 1."""

    shape: tuple[int, ...]
    """(C, *spatial) of an item."""
    window: int
    stride: int

    def block(self, queries: Array, others: Array, device: str) -> Array:
        """Compare (n, D) with (m, D), every pair: (n, m), float32."""
        height = max(1, PAIRS_AT_ONCE // len(others))
        right = torch.from_numpy(others).to(device)
        parts = [
            self._block(torch.from_numpy(queries[part]).to(device), right) for part in chunks(len(queries), height)
        ]
        return np.concatenate([part.cpu().numpy() for part in parts])

    def exact(self, row: Array, others: Array) -> Array:
        """Compare one row (D,) with others (k, D) in float64: (k,)."""
        one, many = torch.from_numpy(row[None]).double(), torch.from_numpy(others).double()
        values: Array = self._block(one, many)[0].numpy()
        return values

    def error(self, dimension: int) -> float:
        """Bound the float32 error of `block`.

        A sum over the pixels of a window has a relative error of at most pixels * 2^-24. In a covariance it counts
        relative to the variances; in a mean it is divided by sqrt(C1), which keeps the quotient from growing.
        """
        pixels = float(self.window ** (len(self.shape) - 1))
        return 2 * pixels * 2.0**-24 * (2 + math.sqrt(1 / C1))

    def _block(self, a: Tensor, b: Tensor) -> Tensor:
        places = torch.from_numpy(self._places()).to(a.device)
        total = torch.zeros(len(a), len(b), dtype=a.dtype, device=a.device)
        for part in chunks(len(places), max(1, PAIRS_AT_ONCE // total.numel())):
            total += _windows_ssim(a[:, places[part]].movedim(1, 0), b[:, places[part]].movedim(1, 0)).sum(0)
        return total / len(places)

    def _places(self) -> Array:
        """Return the positions in a row of the pixels of each window, (windows, pixels)."""
        positions = np.arange(math.prod(self.shape)).reshape(self.shape)
        starts = [_starts(side, self.window, self.stride) for side in self.shape[1:]]
        corners = itertools.product(range(self.shape[0]), *starts)
        windows = [
            positions[channel][tuple(slice(start, start + self.window) for start in corner)].ravel()
            for channel, *corner in corners
        ]
        return np.stack(windows)


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Return the first pixels of the windows along an axis; the last window ends at the border."""
    return sorted({*range(0, side - window + 1, stride), side - window})


def _windows_ssim(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of every pair in every window: (windows, n, pixels) and (windows, m, pixels) to (windows, n, m)."""
    mean_a, mean_b = a.mean(2, keepdim=True), b.mean(2, keepdim=True)
    centred_a, centred_b = a - mean_a, b - mean_b
    covariance = centred_a @ centred_b.mT / a.shape[2]
    var_a, var_b = centred_a.square().mean(2, keepdim=True), centred_b.square().mean(2, keepdim=True)
    luminance = (2 * mean_a * mean_b.mT + C1) / (mean_a.square() + mean_b.square().mT + C1)
    return luminance * (2 * covariance + C2) / (var_a + var_b.mT + C2)


@dataclass(frozen=True)
class Ssim:
    """Mean SSIM of two items."""

    similarity: Windows
    invariances: tuple[str, ...] = ("exact", "recode")

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to rows of pixels (N, C * pixels), reduced to the detector's size.

        Values are shifted to 0 to 2: the luminance term is defined for values that are not negative.
        """
        size = list(self.similarity.shape[1:])
        if list(images.shape[2:]) != size:
            images = F.interpolate(torch.from_numpy(images), size=size, mode="area").numpy()
        return np.ascontiguousarray(images.reshape(len(images), -1) + np.float32(1))
