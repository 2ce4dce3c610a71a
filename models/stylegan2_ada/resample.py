"""grid_sample that can be differentiated twice with respect to its input, for torch before 2.12.

Bilinear sampling at fixed points is a linear map of the image. Its derivative is the transposed map, whose derivative
is the map itself.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_sample(images: Tensor, grid: Tensor) -> Tensor:
    """Sample images (N, C, H, W) at grid (N, h, w, 2): (N, C, h, w), zeros outside; the grid gets no gradient."""
    sampled: Tensor = _Sample.apply(images, grid)  # type: ignore[no-untyped-call]
    return sampled


def has_second_derivative(device: str) -> bool:
    """Return whether torch's own grid_sample has one on this device."""
    images = torch.ones(1, 1, 2, 2, device=device, requires_grad=True)
    grid = torch.zeros(1, 1, 1, 2, device=device)
    try:
        sampled = F.grid_sample(images, grid, align_corners=False)
        (first,) = torch.autograd.grad(sampled.square().sum(), images, create_graph=True)
        torch.autograd.grad(first.sum(), images)
    except RuntimeError:
        return False
    return True


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, grid: Tensor) -> Tensor:
        context.save_for_backward(grid)
        context.shape = images.shape
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = context.saved_tensors
        return _Transposed.apply(gradient, grid, context.shape), None  # type: ignore[no-untyped-call]


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        context.save_for_backward(grid)
        image = gradient.new_empty(shape)
        wanted: Tensor = torch.ops.aten.grid_sampler_2d_backward(gradient, image, grid, 0, 0, False, [True, False])[0]
        return wanted

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = context.saved_tensors
        return _Sample.apply(gradient, grid), None, None  # type: ignore[no-untyped-call]
