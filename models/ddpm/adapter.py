"""Diffusion of the pixels themselves (Ho et al. 2020; Dhariwal & Nichol 2021), in 2D and 3D, any channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmark.adapters.diffusion import DiffusionAdapter
from benchmark.adapters.network import data_key, training_config
from benchmark.adapters.networks.latent import LatentModel
from benchmark.adapters.networks.space_to_depth import SpaceToDepth
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import find_augmentation
from benchmark.training.batches import feed_split
from benchmark.training.loop import train as train_network


@dataclass
class PixelDiffusion(DiffusionAdapter):
    """A diffusion model of pixels, or of blocks of pixels rearranged as channels."""

    name: ClassVar[str] = "ddpm"

    fold: int = 1
    """Side of blocks of pixels that become channels: 4 makes a 2D step about 16 times cheaper; 1 is as published."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold < 1:
            raise UsageError(f"fold is {self.fold}", "give 1 (pixels as they are), 2 or 4")

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the U-Net; resumes exactly from folder."""
        seed_all(seed)
        place = pick_device(device)
        model = self.build(train.shape)
        autoencoder = model.autoencoder.to(place)
        model.denoiser = train_network(
            model.denoiser,
            lambda net, images: net.loss(autoencoder.encode(images)),
            feed_split(train, place),
            training_config(self),
            folder=folder / "diffusion",
            label="diffusion",
            budget=budget,
            options={"data": data_key(train), **self.weight_options()},
            augment=find_augmentation(self.augment),
            seed=seed,
            device=device,
            watch=self.watch(lambda net: LatentModel(autoencoder, net, model.latent_shape)),
        )
        self.trained(model, train.shape)

    def build(self, shape: tuple[int, ...]) -> LatentModel:
        """Return an untrained network for items of this shape, (C, *spatial)."""
        channels, size = shape[0] * self.fold ** len(shape[1:]), shape[1:]
        multiple = self.fold * 2 ** (len(self.widths) - 1)
        sides = (-(-side // multiple) * multiple // self.fold for side in size)
        denoiser = self._denoiser(len(size), channels, bounded=True)
        return LatentModel(SpaceToDepth(size, self.fold, multiple), denoiser, (channels, *sides))
