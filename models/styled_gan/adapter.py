"""A style-based generative adversarial network, 2D, any number of channels. Our own code, not NVIDIA's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmark.adapters.network import PRECISIONS, NetworkAdapter, check_choices, data_key, training_config
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import AUGMENTATIONS, find_augmentation
from benchmark.training.batches import feed_split
from benchmark.training.loop import train as train_network

from .augmentation import Augmentation
from .discriminator import Discriminator
from .generator import Generator
from .model import Model, phases


@dataclass
class StyledGAN(NetworkAdapter[Model]):
    """A generator in the manner of StyleGAN2 with adaptive discriminator augmentation."""

    name: ClassVar[str] = "styled-gan"
    without_adaptive: ClassVar[dict[str, Any]] = {"augmentation": 0.0}
    """Settings that switch adaptive augmentation off, for studies that compare it with none."""

    widths: tuple[int, ...] = (128, 128, 64, 32, 16)
    """Channels per level, from the smallest images to the largest; each level after the first doubles the sides."""
    latent: int = 128
    mapping_layers: int = 2
    r1: float = 0.1
    """Weight of the gradient penalty; the papers' 0.0002 x pixels / batch is about 0.05 at 64 x 64, batch 16."""
    path: float = 2.0
    """Weight of the path-length penalty; 0 for none."""
    augmentation: float = 0.6
    """Target of adaptive augmentation: the mean sign of the logits of real images; 0 trains without augmentation."""
    augmentation_items: float = 100_000
    """Number of real images over which the probability of augmentation can rise from 0 to 1."""
    augment: str = "none"
    """Augmentation of the training images: `none`, `flips`, `published` (flips and small rotations), or `strong`."""
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 2.5e-3
    ema: float = 0.998
    precision: str = "fp32"
    """`fp32`, `bf16`, or `auto` (bf16 on CUDA)."""
    sampling_truncation: float = 1.0
    """How far styles may be from their mean: 1 keeps all variety, less gives cleaner but more similar images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {"precision": PRECISIONS, "augment": tuple(AUGMENTATIONS)})
        if len(self.widths) < 2:
            raise UsageError(f"styled-gan was given widths {self.widths}", "give at least two, such as 64,32")
        if self.batch_size < 2:
            raise UsageError(f"batch_size is {self.batch_size}", "give at least 2: the discriminator compares images")

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train both networks in alternating phases; resumes exactly from folder."""
        seed_all(seed)
        model = train_network(
            self.build(train.shape),
            phases(r1=self.r1, path=self.path),
            feed_split(train, pick_device(device)),
            training_config(self, schedule="constant", warmup=0, clip=0),  # as StyleGAN2
            folder=folder / "gan",
            label="gan",
            budget=budget,
            options={"data": data_key(train), **self.weight_options()},
            augment=find_augmentation(self.augment),
            seed=seed,
            device=device,
            watch=self.watch(lambda net: net),
        )
        self.trained(model, train.shape)

    def build(self, shape: tuple[int, ...]) -> Model:
        """Return untrained networks for planes of this shape, (C, H, W)."""
        if len(shape) != 3:
            raise UsageError(f"styled-gan makes planes, not items of shape {shape}", "choose a model for volumes")
        return Model(
            Generator(shape, self.widths, self.latent, self.mapping_layers),
            Discriminator(shape, self.widths[::-1]),
            Augmentation(self.augmentation, self.augmentation_items),
        )

    def generate(self, net: Model, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, H, W)."""
        random = torch.Generator().manual_seed(derive_seed(seed, part.start))
        device = net.path_mean.device
        z = torch.randn(part.stop - part.start, self.latent, generator=random).to(device)
        # Truncation: styles are moved towards their mean, where training saw most of them (Karras et al. 2019, B).
        w = net.generator.average.lerp(net.generator.styles(z), self.sampling_truncation)
        noise = lambda shape: torch.randn(shape, generator=random).to(device)  # noqa: E731
        return net.generator.synthesis(net.generator.same(w), noise)
