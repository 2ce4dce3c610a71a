"""A variational autoencoder (Kingma & Welling 2014) as a generator, in 2D and 3D, any channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from benchmark.adapters.network import (
    PRECISIONS,
    NetworkAdapter,
    check_choices,
    data_key,
    in_range,
    seeded_noise,
    training_config,
)
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import AUGMENTATIONS, find_augmentation
from benchmark.training.batches import Resident, Streamed, feed_split
from benchmark.training.loop import train as train_network

from .model import VAE, fit_density

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

DENSITIES = ("fitted", "prior")


@dataclass
class VariationalAutoencoder(NetworkAdapter[VAE]):
    """MONAI's VarAutoEncoder; samples decode draws of a latent density."""

    name: ClassVar[str] = "vae"

    widths: tuple[int, ...] = (32, 64, 128, 128)
    """Channels per level; each level halves the image."""
    latent: int = 64
    """Numbers in the latent of an image."""
    blocks: int = 0
    """Residual units per level; 0 for plain convolutions."""
    augment: str = "none"
    """Augmentation of the training images: `none`, `flips`, `published` (flips and small rotations), or `strong`."""
    steps: int = 5000
    batch_size: int = 32
    learning_rate: float = 1e-3
    ema: float = 0.998
    precision: str = "fp32"
    """`fp32`, `bf16`, or `auto` (bf16 on CUDA)."""
    sampling_density: str = "fitted"
    """What latents are drawn from: `prior`, the standard normal distribution, or `fitted`, a normal distribution with
    the mean and covariance of the posteriors of the training images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"precision": PRECISIONS, "sampling_density": DENSITIES, "augment": tuple(AUGMENTATIONS)}
        check_choices(self.name, self, choices)
        if not self.widths or self.latent < 1:
            raise UsageError(
                f"vae was given widths {self.widths} and latent {self.latent}", "give a width and a latent size"
            )

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train, then fit the latent density; resumes exactly from folder."""
        seed_all(seed)
        feed = feed_split(train, pick_device(device))
        model = train_network(
            self.build(train.shape),
            lambda net, images: net.loss(images),
            feed,
            training_config(self),
            folder=folder / "vae",
            label="vae",
            budget=budget,
            options={"data": data_key(train), **self.weight_options()},
            augment=find_augmentation(self.augment),
            seed=seed,
            device=device,
            watch=self.watch(lambda net: self._with_density(net, feed)),
        )
        self._with_density(model, feed)
        self.trained(model, train.shape)

    def _with_density(self, net: VAE, feed: Resident | Streamed) -> VAE:
        fit_density(net, feed, self.sampling_batch)
        return net

    def build(self, shape: tuple[int, ...]) -> VAE:
        """Return an untrained network for items of this shape, (C, *spatial)."""
        return VAE(shape, self.widths, self.latent, self.blocks)

    def generate(self, net: VAE, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, *spatial): decoded means, without the model's pixel noise."""
        z = seeded_noise((part.stop - part.start, self.latent), seed, part.start, device=net.mean.device)
        return net.decode(net.place(z) if self.sampling_density == "fitted" else z)

    def reconstruct(self, images: Images) -> Images:
        """Return the autoencoder's reconstruction of images (N, C, *spatial), same shape."""
        net = self.network()
        return self.batchwise(lambda part: in_range(net.decode(net.encode(part))), images)

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return the mean squared error of the reconstruction of each image (N, C, *spatial), (N,), float32."""
        net = self.network()
        return self.batchwise(lambda part: (net.decode(net.encode(part)) - part).square().flatten(1).mean(1), images)
