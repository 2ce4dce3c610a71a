"""The discriminator: residual blocks, and the deviation within the batch as a feature (Karras et al. 2018, 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Conv, Dense, activate

GROUP = 4
"""Images that are compared with each other, as in StyleGAN2."""


class Halving(nn.Module):
    """A residual block that halves the sides."""

    def __init__(self, width: int, width_out: int) -> None:
        super().__init__()
        self.first, self.second = Conv(width, width, 3), Conv(width, width_out, 3)
        self.skip = Conv(width, width_out, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / 2, W / 2)."""
        values = F.avg_pool2d(activate(self.second(activate(self.first(images)))), 2)
        skipped: Tensor = self.skip(F.avg_pool2d(images, 2))
        return (values + skipped) / math.sqrt(2)  # the sum of two independent unit variances has variance 2


class Discriminator(nn.Module):
    """Maps images (N, C, H, W) to logits (N,); widths from the largest images to the smallest."""

    def __init__(self, shape: tuple[int, ...], widths: Sequence[int]) -> None:
        super().__init__()
        multiple = 2 ** (len(widths) - 1)
        self.extra = [-side % multiple for side in shape[1:]]
        self.from_image = Conv(shape[0], widths[0], 1)
        self.halvings = nn.Sequential(*(Halving(width, after) for width, after in pairwise(widths)))
        base = math.prod(-(-side // multiple) for side in shape[1:])
        self.last = Conv(widths[-1] + 1, widths[-1], 3)
        self.dense = Dense(widths[-1] * base, widths[-1])
        self.logit = Dense(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images (N, C, H, W), (N,): high for real."""
        ends = [end for extra in reversed(self.extra) for end in (extra // 2, extra - extra // 2)]
        images = F.pad(images, ends, mode="replicate") if any(ends) else images
        values = self.halvings(activate(self.from_image(images)))
        values = activate(self.last(torch.cat([values, batch_deviation(values)], dim=1)))
        logits: Tensor = self.logit(activate(self.dense(values.flatten(1)))).squeeze(1)
        return logits


def batch_deviation(values: Tensor) -> Tensor:
    """Return the mean standard deviation within groups of at most 4 of the N items, as a channel (N, 1, H, W).

    Generated images that are all alike have a smaller deviation than real ones: the discriminator then sees it, and the
    generator is kept from collapsing to few images (minibatch standard deviation, Karras et al. 2018, section 3).
    """
    count = len(values)
    group = next(size for size in range(min(GROUP, count), 0, -1) if count % size == 0)
    grouped = values.view(group, -1, *values.shape[1:])
    # 1e-8 under the root: its derivative is infinite at zero variance.
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3), keepdim=True)
    return deviation.repeat(group, 1, 1, 1).expand(-1, -1, *values.shape[2:])
