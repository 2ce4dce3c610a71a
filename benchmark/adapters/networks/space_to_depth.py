"""Blocks of pixels as channels: a lossless autoencoder whose latents have fewer positions and more channels.

The cost of a U-Net falls with the number of positions; the image stays exactly the same.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from benchmark.adapters.networks.autoencoder import Autoencoder


class SpaceToDepth(Autoencoder):
    """Images (N, C, *spatial) to (N, C factor^d, *spatial / factor) and back: lossless (Hoogeboom et al. 2023)."""

    def __init__(self, size: tuple[int, ...], factor: int, multiple: int) -> None:
        super().__init__(torch.nn.Identity(), size, multiple)
        self.factor = factor

    def encode(self, images: Tensor) -> Tensor:
        """Map images (N, C, *spatial) to latents (N, C factor^d, *spatial / factor)."""
        return space_to_depth(self.pad(images), self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents (N, C factor^d, *spatial / factor) to images (N, C, *spatial)."""
        return self.crop(depth_to_space(latents, self.factor, len(self.size)))


def space_to_depth(images: Tensor, factor: int) -> Tensor:
    """Rearrange (N, C, *spatial) to (N, C factor^d, *spatial / factor)."""
    two = images.dim() == 4
    pattern = "n c (h a) (w b) -> n (c a b) h w" if two else "n c (h a) (w b) (d e) -> n (c a b e) h w d"
    return rearrange(images, pattern, **_sides(factor, images.dim() - 2))


def depth_to_space(values: Tensor, factor: int, dims: int) -> Tensor:
    """Rearrange (N, C factor^d, *spatial / factor) to (N, C, *spatial): the inverse of `space_to_depth`."""
    two = dims == 2
    pattern = "n (c a b) h w -> n c (h a) (w b)" if two else "n (c a b e) h w d -> n c (h a) (w b) (d e)"
    return rearrange(values, pattern, **_sides(factor, dims))


def _sides(factor: int, dims: int) -> dict[str, int]:
    return dict.fromkeys("abe"[:dims], factor)
