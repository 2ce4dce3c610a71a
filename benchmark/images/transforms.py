"""Batched 2D and 3D transformations on the device, and `augment`, which draws random ones to train detectors by.

Everything takes and returns (N, C, *spatial) float32 in [-1, 1].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def rotations(axes: Tensor, radians: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) about unit axes (N, 3) by angles (N,): Rodrigues' formula."""
    x, y, z = axes.unbind(1)
    zero = torch.zeros_like(x)
    K = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sin, cos = radians.sin()[:, None, None], radians.cos()[:, None, None]
    return torch.eye(3, device=axes.device) + sin * K + (1 - cos) * (K @ K)


def affine(images: Tensor, radians: Tensor, scale: Tensor, shift: Tensor, axes: Tensor | None = None) -> Tensor:
    """Rotate, scale about the centre and shift, repeating the border outwards.

    Args:
        images: (N, C, *spatial).
        radians: (N,) angles, in the plane (2D) or about `axes` (3D; the first spatial axis by default).
        scale: (N,) factors; above 1 the content grows.
        shift: (N, dims) as a share of the field of view, last spatial axis first.
        axes: (N, 3) unit vectors for 3D.
    """
    dims = images.ndim - 2
    if axes is None:
        axes = images.new_tensor([[0.0, 0.0, 1.0]]).expand(len(images), 3)
    # grid_sample counts each axis from -1 to 1 whatever its length: without this, oblong images would be sheared.
    sides = images.new_tensor(images.shape[:1:-1])
    matrix = rotations(axes, radians)[:, :dims, :dims] / scale[:, None, None] * (sides[None] / sides[:, None])
    theta = torch.cat([matrix, -2 * shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def gamma(images: Tensor, exponent: Tensor) -> Tensor:
    """Raise grey levels, mapped to [0, 1], to a power (N,); above 1 darkens."""
    return ((images + 1) / 2).clamp(1e-4, 1) ** _column(exponent, images) * 2 - 1


def blur(images: Tensor, sigma: float) -> Tensor:
    """Convolve with a Gaussian of `sigma` pixels along each spatial axis."""
    radius = max(1, math.ceil(3 * sigma))
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    for axis in range(2, images.ndim):
        # A sum of shifted views: 10 times faster on CPU than conv1d on rows of one channel.
        size = images.shape[axis]
        index = torch.arange(-radius, size + radius, device=images.device).clamp(0, size - 1)
        padded = images.index_select(axis, index)
        total = torch.zeros_like(images)
        for offset, weight in enumerate(weights):
            total.add_(padded.narrow(axis, offset, size), alpha=weight / sum(weights))
        images = total
    return images


def add_noise(images: Tensor, sigma: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add white Gaussian noise of standard deviation sigma (N,), in units of the range [-1, 1]."""
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    return (images + _column(sigma, images) * noise).clamp(-1, 1)


def deform(images: Tensor, amplitude: float, generator: torch.Generator | None = None) -> Tensor:
    """Move points by a smooth random field (4 control points an axis) of standard deviation amplitude (view = 2)."""
    dims = images.ndim - 2
    control = torch.randn(len(images), dims, *[4] * dims, generator=generator).to(images.device)
    mode = "bilinear" if dims == 2 else "trilinear"
    field = F.interpolate(control, size=images.shape[2:], mode=mode, align_corners=True) * amplitude
    unit = torch.eye(dims, dims + 1, device=images.device).expand(len(images), -1, -1)
    grid = F.affine_grid(unit, list(images.shape), align_corners=False) + field.movedim(1, -1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def rotate_by_quarters(images: Tensor) -> Tensor:
    """Turn the last two axes by a random number of quarters; with the flips of `augment`, all eight orientations."""
    quarters = _column(torch.randint(4, (len(images),)).to(images.device), images)
    # A quarter of an oblong image is another shape: those are turned by halves only.
    once = images.rot90(1, (-2, -1)) if images.shape[-1] == images.shape[-2] else images
    images = torch.where(quarters % 2 == 1, once, images)
    return torch.where(quarters >= 2, images.rot90(2, (-2, -1)), images)


def augment(images: Tensor) -> Tensor:
    """Draw one random transformation an image from torch's global generator.

    Flip of the last axis (half of them), rotation up to 22 degrees, shift 10 %, scale 20 %, gamma, contrast, blur (of
    up to 2 pixels, up to 1 where a side has fewer than 48) and noise of up to 10 % of the range.
    """
    count, dims, device = len(images), images.ndim - 2, images.device

    def uniform(*shape: int) -> Tensor:
        return (torch.rand(count, *shape) * 2 - 1).to(device)

    flipped = torch.where(_column(uniform(), images) < 0, images.flip(-1), images)
    axes = F.normalize(torch.randn(count, 3), dim=1).to(device) if dims == 3 else None
    moved = affine(flipped, uniform() * math.radians(22), torch.exp(0.2 * uniform()), 0.1 * uniform(dims), axes)
    toned = gamma(moved, torch.exp(0.75 * uniform()))
    toned = toned * _column(1 + 0.2 * uniform(), images) + _column(0.15 * uniform(), images)
    softened = torch.lerp(toned, _blurred(toned), _column(uniform().clamp(min=0), images))
    return add_noise(softened.clamp(-1, 1), 0.2 * uniform().clamp(min=0))


def _blurred(images: Tensor) -> Tensor:
    """Blur by 1 pixel; where there are pixels enough, 2 of 5 images by 2."""
    once = blur(images, 1.0)
    if min(images.shape[2:]) < 48:
        return once
    much = _column((torch.rand(len(images)) < 0.4).to(images.device), images)
    return torch.where(much, blur(once, 3**0.5), once)  # variances add: 1 + 3 = 2 ** 2
