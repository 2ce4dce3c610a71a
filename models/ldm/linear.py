"""The autoencoder that needs no training: principal components of image patches, in closed form.

No linear autoencoder has a smaller squared error (Baldi & Hornik 1989). In the minutes of a smoke run a convolutional
one learns little more than the average patch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.adapters.networks.autoencoder import Autoencoder
from benchmark.adapters.networks.space_to_depth import depth_to_space, space_to_depth
from benchmark.training.batches import Resident, Streamed

ENOUGH = 1024
"""Number of items from which the components are computed, evenly spread over the training split."""
BATCH = 64


class LinearAutoencoder(Autoencoder):
    """Patches of factor x factor (x factor) pixels and all channels, projected on their first principal components."""

    mean: Tensor
    """(pixels of a patch,)."""
    basis: Tensor
    """(components, pixels of a patch), orthonormal rows."""

    def __init__(self, channels: int, size: tuple[int, ...], factor: int, components: int, multiple: int) -> None:
        super().__init__(torch.nn.Identity(), size, multiple)
        self.factor, self.dims = factor, len(size)
        self.register_buffer("mean", torch.zeros(channels * factor**self.dims))
        self.register_buffer("basis", torch.zeros(components, channels * factor**self.dims))

    @torch.no_grad()
    def fit(self, feed: Resident | Streamed) -> None:
        """Compute mean and components from a feed, in float64.

        A component is defined up to its sign: here its largest entry is positive, so that every machine gets the same.
        """
        positions = torch.linspace(0, len(feed) - 1, min(len(feed), ENOUGH)).long().split(BATCH)
        total, squares, count = torch.zeros(()), torch.zeros(()), 0
        for part in positions:
            rows = self._patches(feed.take(part.numpy())).movedim(1, -1).flatten(0, -2).double()
            total, squares, count = rows.sum(0) + total, rows.T @ rows + squares, count + len(rows)
        mean = total / count
        # E[x x^T] - m m^T in one sweep over the data; float64, because the difference of the two cancels digits.
        _, vectors = torch.linalg.eigh(squares / count - mean[:, None] * mean)
        basis = vectors.flip(1)[:, : len(self.basis)].T
        signs = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True)).sign()
        self.mean.copy_(mean)
        self.basis.copy_(basis * signs)

    def encode(self, images: Tensor) -> Tensor:
        """Return the coefficients of the components, (N, components, *spatial / factor)."""
        centred = self._patches(images).movedim(1, -1) - self.mean
        return (centred @ self.basis.T).movedim(-1, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, C, *spatial), not clamped."""
        rows = (latents.movedim(1, -1) @ self.basis + self.mean).movedim(-1, 1)
        return self.crop(depth_to_space(rows, self.factor, self.dims))

    def _patches(self, images: Tensor) -> Tensor:
        return space_to_depth(self.pad(images), self.factor)
