"""Batched 2D and 3D transformations on the device, and `augment`, which draws random ones to train detectors.

Everything takes and returns (N, C, *spatial) float32 in [-1, 1].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CONTROL_POINTS = 4
"""Per axis of a random deformation: it then bends over about a third of the image, as organs do, not from pixel to
pixel."""


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values (N,) to (N, 1, ..., 1), to be combined with images (N, C, *spatial)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def rotations(axes: Tensor, radians: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) about unit axes (N, 3) by angles (N,) in radians.

    Rodrigues' formula, I + sin a K + (1 - cos a) K^2, with K the matrix of the cross product with the axis.
    """
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
        shift: (N, dims) as a fraction of the field of view, last spatial axis first.
        axes: (N, 3) unit vectors for 3D.
    """
    dims = images.ndim - 2
    if axes is None:
        axes = images.new_tensor([[0.0, 0.0, 1.0]]).expand(len(images), 3)
    # grid_sample takes the place in the source of each pixel of the result: the inverse of what content does, so that
    # scale divides and shift is negative. It counts each axis from -1 to 1 whatever its length: without `sides`, oblong
    # images would be sheared; and fractions of the field of view count twice.
    sides = images.new_tensor(images.shape[:1:-1])
    matrix = rotations(axes, radians)[:, :dims, :dims] / scale[:, None, None] * (sides[None] / sides[:, None])
    theta = torch.cat([matrix, -2 * shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def gamma(images: Tensor, exponent: Tensor) -> Tensor:
    """Raise grey levels, mapped to [0, 1], to a power (N,); above 1 darkens.

    Black is 1e-4 (a 40th of a grey level): small powers have an infinite slope at 0.
    """
    return ((images + 1) / 2).clamp(1e-4, 1) ** _column(exponent, images) * 2 - 1


def blur(images: Tensor, sigma: float) -> Tensor:
    """Convolve with a Gaussian of `sigma` pixels along each spatial axis."""
    radius = max(1, math.ceil(3 * sigma))  # 3 sigma hold 99.7 % of a Gaussian; weights are scaled to a sum of 1
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    for axis in range(2, images.ndim):
        # The border is repeated. A sum of shifted views: 10 times faster on CPU than conv1d on rows of one channel.
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
    # Drawn on the CPU, so that a seed gives the same noise on every device.
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    return (images + _column(sigma, images) * noise).clamp(-1, 1)


def deform(images: Tensor, amplitude: float, generator: torch.Generator | None = None) -> Tensor:
    """Move points by a smooth random field, whose standard deviation is `amplitude` (the field of view is 2).

    The field is random at 4 control points per axis, and interpolated linearly in between.
    """
    dims = images.ndim - 2
    control = torch.randn(len(images), dims, *[CONTROL_POINTS] * dims, generator=generator).to(images.device)
    mode = "bilinear" if dims == 2 else "trilinear"
    field = F.interpolate(control, size=images.shape[2:], mode=mode, align_corners=True) * amplitude
    unit = torch.eye(dims, dims + 1, device=images.device).expand(len(images), -1, -1)
    grid = F.affine_grid(unit, list(images.shape), align_corners=False) + field.movedim(1, -1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def rotate_by_quarters(images: Tensor) -> Tensor:
    """Rotate in the plane of the last two axes by a random multiple of 90 degrees.

    With the flips of `augment`, all eight orientations occur. Oblong images are rotated by 180 degrees or not at all:
    90 degrees would change their shape.
    """
    quarters = _column(torch.randint(4, (len(images),)).to(images.device), images)
    once = images.rot90(1, (-2, -1)) if images.shape[-1] == images.shape[-2] else images
    images = torch.where(quarters % 2 == 1, once, images)
    return torch.where(quarters >= 2, images.rot90(2, (-2, -1)), images)


def augment(images: Tensor) -> Tensor:
    """Draw one random transformation per image from torch's global generator.

    Flip of the last axis (half of them), rotation up to 22 degrees, shift up to 10 %, scale up to 20 %, gamma 0.47 to
    2.1, contrast up to 20 %, brightness up to 7.5 % of the range, blur (of up to 2 pixels, up to 1 where a side has
    fewer than 48) and noise of up to 10 % of the range. Half of the images are not blurred, and half have no noise.
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
    """Blur by 1 pixel; 40 % of the images by 2, where all sides have 48 pixels or more."""
    once = blur(images, 1.0)
    if min(images.shape[2:]) < 48:
        return once
    much = _column((torch.rand(len(images)) < 0.4).to(images.device), images)
    return torch.where(much, blur(once, 3**0.5), once)  # variances add: 1 + 3 = 2 ** 2
