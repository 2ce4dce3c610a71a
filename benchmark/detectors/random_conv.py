"""Encoder and detector `random-conv`: features of a fixed random convolutional network, which needs no weights.

Random convolutions respond to texture and shape well enough to order samples by quality, and need no download. A
Frechet distance in these features cannot be compared with one in Inception features. Random networks as image priors:
Ulyanov et al. 2018, 1711.10925.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import chunks
from benchmark.search import COSINE

if TYPE_CHECKING:
    from torch import nn

    from benchmark.core.types import Array, Images, Similarity, Split

WIDTHS = (16, 32, 48)
AT_ONCE = 256


@dataclass(frozen=True)
class Options:
    """The options of `random-conv`: it has none."""

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> RandomConv:
        """Return the detector; features are standardised over training and held-out items together."""
        from benchmark.core.devices import pick_device

        place = str(pick_device(device))
        features = np.concatenate(
            [random_features(real.images(part), device=place) for part in chunks(len(real), AT_ONCE)]
        )
        spread = features.std(axis=0)
        return RandomConv(place, features.mean(axis=0), np.where(spread > 0, spread, 1.0))


@dataclass(frozen=True, eq=False)
class RandomConv:
    """Cosine of two items' standardised features: what a detector without training finds."""

    device: str
    mean: Array
    spread: Array
    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = ("exact",)

    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, 192)."""
        rows = (random_features(images, device=self.device) - self.mean) / self.spread
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def _network(channels: int, dims: int) -> list[nn.Module]:
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    layers: list[nn.Module] = []
    width = channels
    for wide in WIDTHS:
        layer = conv(width, wide, 5, stride=2, padding=2, bias=False)
        torch.nn.init.normal_(layer.weight, std=(width * 5**dims) ** -0.5, generator=generator)
        layers.append(layer)
        width = wide
    return layers


def random_features(images: Images, *, device: str = "cpu") -> Array:
    """Map (N, C, *spatial) to features (N, 192): mean and spread over the image of each channel of three layers."""
    import torch
    import torch.nn.functional as F

    layers = [layer.to(device) for layer in _network(images.shape[1], images.ndim - 2)]
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            x = torch.from_numpy(images[start : start + 64]).to(device)
            stages = []
            for layer in layers:
                x = F.leaky_relu(layer(x), 0.2)
                flat = x.flatten(2)
                # One pixel has no spread; torch's is NaN, which would be that of every quality score.
                stages += [flat.mean(2), flat.std(2) if flat.shape[2] > 1 else torch.zeros_like(flat[:, :, 0])]
            parts.append(torch.cat(stages, dim=1).cpu().numpy())
    return np.concatenate(parts)
