"""Detector `dar2025`: the published self-supervised copy detector of Dar et al. (2402.01054), written from the paper.

One branch is augmented (rotation up to 5 degrees and a flip, each half of the time), the other is the item itself;
NT-Xent with temperature 0.07 over the batch; Adam from 1e-4 to 5e-5 along a cosine; items are compared by the Pearson
correlation of their embeddings. In 2D a ResNet-50 with 128 numbers per item, in 3D a strided encoder with 32.

Differences: it is trained on the real items of all splits, not on the training items alone, because similarities of a
network that has seen one side only cannot be compared between sides; it keeps the last weights in place of those of the
lowest validation loss; and its defaults are small: `published=true` sets the published sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.devices import pick_device
from benchmark.core.types import Split, chunks
from benchmark.detectors.copy import nt_xent
from benchmark.images.transforms import affine
from benchmark.search import COSINE
from benchmark.training.batches import feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images, Similarity

EMBED_BATCH = 64
DEGREES = 5.0


@dataclass(frozen=True)
class Options:
    """The options of `dar2025`; the defaults fit a small machine."""

    size: int = 64
    """Pixels per side of a 2D item (published: 512)."""
    volume_size: int = 32
    width: int = 16
    """Channels of the first stage (published: 64 in 2D, 32 in 3D after the first level)."""
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    """Bottlenecks per stage in 2D (published: 3, 4, 6, 3)."""
    dimension: int = 0
    """Length of the embedding; 0 for the published 128 in 2D and 32 in 3D."""
    epochs: int = 30
    """Published: 200."""
    batch_size: int = 0
    """0 for the published 64 in 2D and 10 in 3D."""
    learning_rate: float = 1e-4
    temperature: float = 0.07
    pad_after: bool = False
    """Pad to a square after the rotation, as the published loader does, so that corners are cut off; else before."""
    published: bool = False
    """Set size, width, blocks and epochs as published."""
    seed: int = 0

    def fit(self, real: Split, *, folder: Path, key: str, device: str) -> Dar2025:
        """Train on all real items, or load a finished training."""
        chosen = self._filled(len(real.shape) - 1)
        return fit_dar2025(real, chosen, folder=folder, key=key, device=device)

    def _filled(self, dims: int) -> Options:
        """Replace every 0 by what was published for these dimensions."""
        chosen = self
        if self.published:
            chosen = replace(
                self, size=512, volume_size=256, width=64 if dims == 2 else 16, blocks=(3, 4, 6, 3), epochs=200
            )
        return replace(
            chosen,
            dimension=chosen.dimension or (128 if dims == 2 else 32),
            batch_size=chosen.batch_size or (64 if dims == 2 else 10),
        )


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        same = inside == out and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inside, H, W) to (N, 4 width, H / stride, W / stride)."""
        return F.relu(self.body(x) + self.shortcut(x))


def resnet(channels: int, options: Options) -> nn.Sequential:
    """A ResNet whose last layer has `dimension` outputs: (N, C, H, W) to (N, dimension)."""
    width = options.width
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    inside = width
    for stage, count in enumerate(options.blocks):
        for block in range(count):
            layers.append(Bottleneck(inside, width * 2**stage, 2 if block == 0 and stage else 1))
            inside = 4 * width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, options.dimension))


class Residual(nn.Module):
    """Two 3D convolutions with group norm around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*self._half(width), *self._half(width))

    @staticmethod
    def _half(width: int) -> Iterator[nn.Module]:
        yield nn.GroupNorm(math.gcd(32, width), width)
        yield nn.SiLU()
        yield nn.Conv3d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, D, H, W) to the same shape."""
        out: Tensor = x + self.body(x)
        return out


def volume_encoder(channels: int, size: tuple[int, ...], options: Options) -> nn.Sequential:
    """Strided 4 x 4 x 4 convolutions down to 4 x 4 x 4, then 512 to 128 to `dimension`: (N, C, D, H, W) to (N, dim)."""
    layers: list[nn.Module] = []
    inside, sides, level = channels, list(size), 0
    while max(sides) > 4:
        stride = [2 if side > 4 else 1 for side in sides]
        out = options.width * 2 ** (level + 1)
        kernel, padding = [4 if step == 2 else 3 for step in stride], 1
        layers += [nn.Conv3d(inside, out, kernel, stride, padding), Residual(out)]  # type: ignore[arg-type]
        sides = [side // 2 if step == 2 else side for side, step in zip(sides, stride, strict=True)]
        inside, level = out, level + 1
    head = [nn.Conv3d(inside, 8, 1), nn.AdaptiveAvgPool3d(4), nn.Flatten()]
    return nn.Sequential(
        *layers, *head, nn.Linear(512, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, options.dimension)
    )


class Encoder(nn.Module):
    """The network with its own preparation of items: size, padding to a square, range."""

    def __init__(self, shape: tuple[int, ...], options: Options) -> None:
        super().__init__()
        self.dims, self.pad_after = len(shape) - 1, options.pad_after
        most = options.size if self.dims == 2 else options.volume_size
        self.size = [min(side, most) for side in shape[1:]]
        square = [max(self.size)] * 2 if self.dims == 2 else self.size
        self.layers = resnet(shape[0], options) if self.dims == 2 else volume_encoder(shape[0], tuple(square), options)

    def shrink(self, images: Tensor) -> Tensor:
        """Reduce larger items (N, C, *spatial) by area averaging; 2D items are mapped to [0, 1], as published."""
        if list(images.shape[2:]) != self.size:
            images = F.interpolate(images, size=self.size, mode="area")
        return (images + 1) / 2 if self.dims == 2 else images

    def views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented items and the items themselves, both padded to squares, (N, C, *spatial) each."""
        if self.pad_after:
            return self.square(rotate_and_flip(images)), self.square(images)
        whole = self.square(images)
        return rotate_and_flip(whole), whole

    def square(self, images: Tensor) -> Tensor:
        """Pad 2D images (N, C, H, W) with black to a square; volumes are left as they are."""
        if self.dims == 3:
            return images
        height, width = images.shape[2:]
        up, left = max(0, width - height), max(0, height - width)
        return F.pad(images, (left // 2, left - left // 2, up // 2, up - up // 2))

    def forward(self, images: Tensor) -> Tensor:
        """Embed prepared items as centred unit vectors (N, dimension): their inner product is Pearson's correlation."""
        vectors = self.layers(images).float()
        return F.normalize(vectors - vectors.mean(dim=1, keepdim=True), dim=1)


def rotate_and_flip(images: Tensor) -> Tensor:
    """Rotate by up to 5 degrees (about every axis in 3D) and flip the last axis, each for half of (N, C, *spatial)."""
    count, dims = len(images), images.ndim - 2
    one, still = images.new_ones(count), images.new_zeros(count, dims)
    chosen = (torch.rand(count) < 0.5).to(images.device)
    for axis in range(1 if dims == 2 else 3):
        angles = ((torch.rand(count) * 2 - 1) * math.radians(DEGREES)).to(images.device) * chosen
        axes = torch.eye(3, device=images.device)[axis].expand(count, 3) if dims == 3 else None
        images = affine(images, angles, one, still, axes)
    flipped = (torch.rand(count) < 0.5).to(images.device)
    return torch.where(flipped.view(-1, *[1] * (dims + 1)), images.flip(-1), images)


def fit_dar2025(real: Split, chosen: Options, *, folder: Path, key: str, device: str) -> Dar2025:
    """Train the published detector, or load it where folder holds a finished training; arguments as of `fit_copy`."""
    place = pick_device(device)
    torch.manual_seed(chosen.seed)
    encoder = Encoder(real.shape, chosen)

    def loss(net: Encoder, images: Tensor) -> Tensor:
        first, second = net.views(net.shrink(images))
        each_alone = torch.arange(
            len(images), device=images.device
        )  # as published: other items of a patient are negatives
        # The published loss takes cosines of embeddings that are not centred; the correlation is for comparing items.
        return nt_xent(raw(net, first), raw(net, second), each_alone, chosen.temperature)

    batch = min(chosen.batch_size, len(real))
    config = TrainingConfig(
        steps=max(1, chosen.epochs * len(real) // batch), batch_size=batch, learning_rate=chosen.learning_rate,
        warmup=0, schedule="half-cosine", clip=0, ema=0,
    )  # fmt: skip
    feed = feed_split(real, place)
    options = {"cohort": key, **asdict(chosen)}
    trained = train(
        encoder, loss, feed, config, folder=folder, seed=chosen.seed, device=device, label="dar2025", options=options
    )
    return Dar2025(trained, place)


def raw(net: Encoder, images: Tensor) -> Tensor:
    """Embed prepared items (N, C, *spatial) as unit vectors (N, dimension) that are not centred."""
    return F.normalize(net.layers(images).float(), dim=1)


@dataclass(frozen=True)
class Dar2025:
    """The trained detector: Pearson's correlation of two embeddings."""

    encoder: Encoder
    device: torch.device
    similarity: Similarity = COSINE
    invariances: tuple[str, ...] = ("exact", "flip", "rotate5")

    @torch.inference_mode()
    def embed(self, images: Images) -> Array:
        """Map (N, C, *spatial) to unit rows (N, dimension), in evaluation mode."""
        self.encoder.eval()
        parts = [torch.from_numpy(images[part]).to(self.device) for part in chunks(len(images), EMBED_BATCH)]
        net = self.encoder
        return torch.cat([net(net.square(net.shrink(part))).cpu() for part in parts]).numpy()
