"""Adaptive discriminator augmentation (Karras et al. 2020b) for any number of channels.

Each image that the discriminator sees, real or generated, is transformed with probability p. p rises while the
discriminator recognises the real images too well, the sign that it has memorised them, and falls otherwise. p is at
most 0.9: were every image transformed, the generator would learn to produce transformed images. The transforms keep
anatomy plausible: mirroring, small shifts, rotations and scalings, and a change of brightness and contrast, the same
for all channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.images.transforms import affine


class Augmentation(nn.Module):
    """Applies each transform with probability p, which adapts to the discriminator's overfitting."""

    p: Tensor
    """Probability of each transform, a scalar; a buffer, so that it is in the checkpoint."""

    def __init__(self, target: float, items: float) -> None:
        """Keep the mean sign of the logits of real images at `target`; p changes by 1 over `items` images."""
        super().__init__()
        self.target, self.items = target, items
        self.register_buffer("p", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """Transform images (N, C, H, W), same shape; differentiable, as the generator learns through it."""
        if not self.target:
            return images

        # Random numbers come from the CPU's generator, so that every device draws the same.
        def chosen() -> Tensor:
            return (torch.rand(len(images)) < self.p.cpu()).to(images)

        def normal() -> Tensor:
            return torch.randn(len(images)).to(images)

        mirrored = (chosen() * (torch.rand(len(images)) < 0.5).to(images)).view(-1, 1, 1, 1)
        images = images + mirrored * (images.flip(-1) - images)
        # Standard deviations: shift 0.1 of half a side, rotation 8 degrees, scaling and contrast log-normal.
        shift = 0.1 * torch.stack([chosen() * normal(), chosen() * normal()], dim=1)
        images = affine(
            images, math.radians(8) * chosen() * normal(), torch.exp(0.14 * chosen() * normal()), shift.clamp(-0.3, 0.3)
        )
        contrast = torch.exp(0.3 * chosen() * normal()).view(-1, 1, 1, 1)
        return images * contrast + (0.15 * chosen() * normal()).view(-1, 1, 1, 1)

    @torch.no_grad()
    def adapt(self, real_logits: Tensor) -> None:
        """Raise p where the mean sign of the logits of real images, (N,), exceeds the target; otherwise lower it.

        The mean sign is the overfitting heuristic r_t of Karras et al. (2020b, equation 1).
        """
        if self.target:
            direction = (real_logits.sign().mean() - self.target).sign()
            self.p.add_(direction * len(real_logits) / self.items).clamp_(0, 0.9)
