"""Pixels as channels: the autoencoder that changes nothing, so that a U-Net sees fewer, thicker pixels."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from benchmark.adapters.networks.autoencoder import Autoencoder


class Folded(Autoencoder):
    """Images (N, C, *spatial) to (N, C factor^d, *spatial / factor) and back: lossless (Hoogeboom et al. 2023)."""

    def __init__(self, size: tuple[int, ...], factor: int, multiple: int) -> None:
        super().__init__(torch.nn.Identity(), size, multiple)
        self.factor = factor

    def encode(self, images: Tensor) -> Tensor:
        """Fold blocks of pixels into channels."""
        return fold(self.pad(images), self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Unfold them."""
        return self.crop(unfold(latents, self.factor, len(self.size)))


def fold(images: Tensor, factor: int) -> Tensor:
    """Rearrange (N, C, *spatial) to (N, C factor^d, *spatial / factor)."""
    two = images.dim() == 4
    pattern = "n c (h a) (w b) -> n (c a b) h w" if two else "n c (h a) (w b) (d e) -> n (c a b e) h w d"
    return rearrange(images, pattern, **_sides(factor, images.dim() - 2))


def unfold(values: Tensor, factor: int, dims: int) -> Tensor:
    """Undo `fold`."""
    two = dims == 2
    pattern = "n (c a b) h w -> n c (h a) (w b)" if two else "n (c a b e) h w d -> n c (h a) (w b) (d e)"
    return rearrange(values, pattern, **_sides(factor, dims))


def _sides(factor: int, dims: int) -> dict[str, int]:
    return dict.fromkeys("abe"[:dims], factor)
