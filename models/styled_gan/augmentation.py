"""Adaptive discriminator augmentation (Karras et al. 2020b) for any number of channels.

Every image that the discriminator sees, real or generated, is transformed with probability p, which rises while the
discriminator is too sure of the real ones. What oriented anatomy allows: mirroring, small moves, turns and scalings,
and a change of brightness and contrast, the same for all channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.images.transforms import affine


class Augmentation(nn.Module):
    """Transforms images with probability p each; p follows the discriminator's certainty."""

    p: Tensor

    def __init__(self, target: float, items: float) -> None:
        """Aim at a mean sign of real logits of `target`; p moves by 1 within this many images."""
        super().__init__()
        self.target, self.items = target, items
        self.register_buffer("p", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same shape; differentiable."""
        if not self.target:
            return images

        def sure() -> Tensor:
            return (torch.rand(len(images)) < self.p.cpu()).to(images)

        def normal() -> Tensor:
            return torch.randn(len(images)).to(images)

        mirrored = (sure() * (torch.rand(len(images)) < 0.5).to(images)).view(-1, 1, 1, 1)
        images = images + mirrored * (images.flip(-1) - images)
        shift = 0.1 * torch.stack([sure() * normal(), sure() * normal()], dim=1)
        images = affine(
            images, math.radians(8) * sure() * normal(), torch.exp(0.14 * sure() * normal()), shift.clamp(-0.3, 0.3)
        )
        contrast = torch.exp(0.3 * sure() * normal()).view(-1, 1, 1, 1)
        return images * contrast + (0.15 * sure() * normal()).view(-1, 1, 1, 1)

    @torch.no_grad()
    def follow(self, real_logits: Tensor) -> None:
        """Raise or lower p by what the logits of real images say."""
        if self.target:
            direction = (real_logits.sign().mean() - self.target).sign()
            self.p.add_(direction * len(real_logits) / self.items).clamp_(0, 0.9)
