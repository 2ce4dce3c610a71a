"""Latent diffusion (Rombach et al. 2022) for 2D images and 3D volumes with any number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.adapters.diffusion import DiffusionAdapter
from benchmark.adapters.network import check_choices, data_key, training_config
from benchmark.adapters.networks.autoencoder import Autoencoder, build_autoencoder
from benchmark.adapters.networks.latent import LatentModel, encode_all, encoded
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import find_augmentation
from benchmark.training.batches import Resident, feed_split
from benchmark.training.loop import train as train_network

from .linear import LinearAutoencoder

if TYPE_CHECKING:
    from benchmark.core.types import Images

AUTOENCODERS = ("kl", "vq", "linear")
AUTOENCODER_SHARE = 0.4
"""Share of the budget's seconds; the diffusion model gets the rest."""
WITH_AUTOENCODER = ("augment", "latent_channels", "codebook", "precision", "widths")
"""Hyper-parameters that decide the autoencoder, as do those named after it; `widths` decide the padding."""


@dataclass
class LatentDiffusion(DiffusionAdapter):
    """An autoencoder, and a diffusion model of its latents."""

    name: ClassVar[str] = "ldm"

    autoencoder: str = "kl"
    """`kl`, `vq` (cheaper), or `linear`: principal components of patches, without training."""
    latent_channels: int = 4
    """With `linear` at most the number of pixels of a patch."""
    autoencoder_widths: tuple[int, ...] = (32, 64, 64)
    """Channels per level; each level after the first halves the image (`vq` has no first level)."""
    autoencoder_blocks: int = 1
    autoencoder_attention: bool = False
    """Self-attention at the bottom of a `kl` encoder and decoder."""
    codebook: int = 256
    """Entries of the `vq` codebook."""
    autoencoder_steps: int = 2000
    autoencoder_batch: int = 16
    autoencoder_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {"autoencoder": AUTOENCODERS})
        least = 1 if self.autoencoder == "kl" else 2
        if len(self.autoencoder_widths) < least:
            raise UsageError(
                f"ldm was given autoencoder_widths {self.autoencoder_widths}",
                f"give at least {least} for autoencoder {self.autoencoder}",
            )

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the autoencoder, encode the split, train the diffusion model; both resume exactly from folder."""
        seed_all(seed)
        model = self.build(train.shape)
        feed = feed_split(train, pick_device(device))
        data = data_key(train)
        augment = find_augmentation(self.augment)

        def stage(name: str, share: float) -> dict[str, Any]:
            seconds = None if budget.seconds is None else share * budget.seconds
            options = {"data": data, **self._options(name)}
            where = {"folder": folder / name, "label": name, "budget": Budget(seconds), "options": options}
            return {**where, "seed": seed, "device": device}

        if isinstance(model.autoencoder, LinearAutoencoder):
            model.autoencoder.to(pick_device(device)).fit(feed)
        else:
            config = training_config(
                self,
                steps=self.autoencoder_steps,
                batch_size=self.autoencoder_batch,
                learning_rate=self.autoencoder_rate,
                ema=0,  # the diffusion model averages its weights, the first stage as published does not
            )
            model.autoencoder = train_network(
                model.autoencoder,
                lambda net, images: net.loss(images),
                feed,
                config,
                augment=augment,
                **stage("autoencoder", AUTOENCODER_SHARE),
            )
        latents = encode_all(model.autoencoder, feed, self.sampling_batch)
        model.denoiser.scale.copy_(1 / latents.std())  # to unit variance, which the noise schedule assumes
        # Without augmentation each image has one latent, encoded once; else each batch is augmented, then encoded.
        encoder = model.autoencoder
        model.denoiser = train_network(
            model.denoiser,
            (lambda net, images: net.loss(encoded(encoder, images))) if augment else (lambda net, z: net.loss(z)),
            feed if augment else Resident(latents, latents.device),
            training_config(self),
            augment=augment,
            watch=self.watch(lambda net: LatentModel(model.autoencoder, net, model.latent_shape)),
            **stage("diffusion", 1 - AUTOENCODER_SHARE),
        )
        self.trained(model, train.shape)

    def reconstruct(self, images: Images) -> Images:
        """Return the autoencoder's reconstruction of images (N, C, *spatial), same shape."""
        return self._reconstruct(images)

    def build(self, shape: tuple[int, ...]) -> LatentModel:
        """Return untrained networks for items of this shape, (C, *spatial)."""
        channels, size = shape[0], shape[1:]
        factor = 2 ** (len(self.autoencoder_widths) - 1)
        multiple = factor * 2 ** (len(self.widths) - 1)
        latent_channels, autoencoder = self._autoencoder(channels, size, factor, multiple)
        denoiser = self._denoiser(len(size), latent_channels, bounded=False)
        latent_sides = (-(-side // multiple) * multiple // factor for side in size)
        return LatentModel(autoencoder, denoiser, (latent_channels, *latent_sides))

    def _autoencoder(self, channels: int, size: tuple[int, ...], factor: int, multiple: int) -> tuple[int, Autoencoder]:
        if self.autoencoder == "linear":
            components = min(self.latent_channels, channels * factor ** len(size))
            return components, LinearAutoencoder(channels, size, factor, components, multiple)
        return self.latent_channels, build_autoencoder(
            self.autoencoder,
            channels=channels,
            size=size,
            widths=self.autoencoder_widths,
            blocks=self.autoencoder_blocks,
            latent_channels=self.latent_channels,
            codebook=self.codebook,
            attention=self.autoencoder_attention,
            multiple=multiple,
        )

    def _options(self, stage: str) -> dict[str, object]:
        """Return the hyper-parameters that decide the weights of a stage."""
        given = self.weight_options()
        if stage == "autoencoder":
            return {name: v for name, v in given.items() if name.startswith(stage) or name in WITH_AUTOENCODER}
        return given
