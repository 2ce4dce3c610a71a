"""Named augmentations of the training images of a generative model: an axis of studies of memorisation.

Every batch is augmented again, so that a model rarely sees the same pixels twice. Copies of augmented images are still
copies: the detector `copy` finds flipped, rotated and shifted ones, `pixels` does not (`bench detectors show copy`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.errors import UsageError
from benchmark.images.transforms import affine, gamma

Augment = Callable[[Tensor], Tensor]


def flips(images: Tensor) -> Tensor:
    """Mirror each of the images (N, C, *spatial) left to right, along the last axis, with probability 1/2."""
    return torch.where(_chosen(images).view(-1, *[1] * (images.ndim - 1)) > 0, images.flip(-1), images)


def published(images: Tensor) -> Tensor:
    """Flip, and rotate by up to 5 degrees, each with probability 1/2; images (N, C, *spatial) in [-1, 1].

    With these Dar et al. (arXiv 2402.01054) trained generators, by the account of papers that cite them.
    """
    images = flips(images)
    return _moved(images, degrees=5.0)


def strong(images: Tensor) -> Tensor:
    """Flip, rotate up to 15 degrees, shift up to 5 %, scale up to 10 %, change grey levels; each with probability 1/2.

    Stronger than what is usual for medical images, and without blur or noise, which a generator would learn to produce.
    Images are (N, C, *spatial) in [-1, 1], and stay in that range.
    """
    images = _moved(flips(images), degrees=15.0, shift=0.05, scale=0.1)
    images = gamma(images, torch.exp(0.3 * _uniform(images) * _chosen(images)))
    contrast = 1 + 0.1 * _uniform(images) * _chosen(images)
    return (images * contrast.view(-1, *[1] * (images.ndim - 1))).clamp(-1, 1)


AUGMENTATIONS: dict[str, Augment | None] = {"none": None, "flips": flips, "published": published, "strong": strong}
"""By the name that the option `augment` of a model takes."""


def find_augmentation(name: str) -> Augment | None:
    """Return the augmentation of this name, or None for `none`. Raises UsageError."""
    if name not in AUGMENTATIONS:
        raise UsageError(f"there is no augmentation {name!r}", f"choose one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def _moved(images: Tensor, *, degrees: float, shift: float = 0.0, scale: float = 0.0) -> Tensor:
    """Rotate, shift and scale by uniform amounts up to these, each with probability 1/2."""
    count, dims = len(images), images.ndim - 2
    radians = math.radians(degrees) * _uniform(images) * _chosen(images)
    factors = torch.exp(math.log1p(scale) * _uniform(images) * _chosen(images))
    chosen = _chosen(images)
    shifts = shift * chosen[:, None] * torch.stack([_uniform(images) for _ in range(dims)], dim=1)
    # In 3D the axis of rotation is random too: anatomy is tilted in any direction.
    axes = F.normalize(torch.randn(count, 3), dim=1).to(images.device) if dims == 3 else None
    return affine(images, radians, factors, shifts, axes)


def _uniform(images: Tensor) -> Tensor:
    """Return a uniform number in [-1, 1) for each image, (N,); from the CPU, so that every device draws the same."""
    return (torch.rand(len(images)) * 2 - 1).to(images)


def _chosen(images: Tensor) -> Tensor:
    """Return 1 with probability 1/2, else 0, for each image, (N,)."""
    return (torch.rand(len(images)) < 0.5).to(images)
