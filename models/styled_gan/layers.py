"""Layers with an equalised learning rate (Karras et al. 2018): unit-variance weights, scaled when used.

The scale 1 / sqrt(inputs) of He et al. (2015) is a factor in the forward pass, not in the stored weights. Adam's steps
do not depend on the scale of a gradient, so that all weights, stored at one scale, learn equally fast.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Module):
    """A linear layer; its learning rate is multiplied by `rate`, its outputs stay the same."""

    def __init__(self, width_in: int, width_out: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in) / rate)
        self.bias = nn.Parameter(torch.full((width_out,), bias / rate))
        self.gain, self.rate = rate / math.sqrt(width_in), rate

    def forward(self, values: Tensor) -> Tensor:
        """Map (N, in) to (N, out)."""
        return F.linear(values, self.weight * self.gain, self.bias * self.rate)


class Conv(nn.Module):
    """A convolution that keeps the sides (odd kernel, zero padding)."""

    def __init__(self, width_in: int, width_out: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width_out, width_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(width_out)) if bias else None
        self.gain = 1 / math.sqrt(width_in * kernel**2)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        return F.conv2d(images, self.weight * self.gain, self.bias, padding=self.weight.shape[-1] // 2)


def activate(values: Tensor) -> Tensor:
    """Leaky rectifier of values of any shape, times sqrt(2): a rectifier halves the mean square of symmetric inputs."""
    return F.leaky_relu(values, 0.2) * math.sqrt(2)
