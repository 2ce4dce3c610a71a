"""Latent diffusion (Rombach et al. 2022) for 2D images and 3D volumes with any number of channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor

from benchmark.contracts import Budget, Split, chunks
from benchmark.errors import AdapterError, UsageError
from benchmark.feeding import Resident, feed_split
from benchmark.machine import pick_device
from benchmark.recipe import Recipe
from benchmark.seeding import seed_all
from benchmark.storage import content_key, read_json
from benchmark.training import train as train_network

from .autoencoder import Autoencoder, build_autoencoder
from .diffusion import build_denoiser
from .files import DESCRIPTION, WEIGHTS, load_weights, save_model, usable
from .linear import LinearAutoencoder
from .model import Model, encode_all

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images

CHOICES = {
    "autoencoder": ("kl", "vq", "linear"),
    "prediction": ("epsilon", "v_prediction", "sample"),
    "noise_schedule": ("squaredcos_cap_v2", "scaled_linear", "linear"),
    "precision": ("auto", "fp32", "bf16"),
}
AUTOENCODER_SHARE = 0.4
"""Of the budget's seconds; the diffusion has the rest."""
WITH_AUTOENCODER = ("latent_channels", "codebook", "precision", "widths")
"""Hyper-parameters that decide the autoencoder, beside those named after it (`widths` by the padding)."""


@dataclass
class LatentDiffusion:
    """An autoencoder, and a diffusion model of its latents."""

    autoencoder: str = "kl"
    """`kl`, `vq` (cheaper), or `linear`: principal components of patches, which takes no training."""
    latent_channels: int = 4
    """At most the pixels of a patch for `linear`."""
    autoencoder_widths: tuple[int, ...] = (32, 64, 64)
    """Channels a level; each level after the first halves the image (`vq` has no first level)."""
    autoencoder_blocks: int = 1
    autoencoder_attention: bool = False
    """Self-attention at the bottom of a `kl` encoder and decoder."""
    codebook: int = 256
    """Entries of the `vq` codebook."""
    autoencoder_steps: int = 2000
    autoencoder_batch: int = 16
    autoencoder_rate: float = 1e-3
    widths: tuple[int, ...] = (64, 128)
    """Channels of the U-Net's levels; each level after the first halves the latents."""
    blocks: int = 1
    attention: tuple[int, ...] = (1,)
    """The U-Net's levels, from 0, that have self-attention."""
    head_channels: int = 32
    """Channels of one attention head; 0 for a single head as wide as its level."""
    residual_resampling: bool = False
    """Let residual blocks, in place of plain convolutions, halve and double the latents."""
    prediction: str = "v_prediction"
    """What the U-Net predicts: `epsilon`, `v_prediction` or `sample` (memorises in the fewest steps)."""
    noise_schedule: str = "squaredcos_cap_v2"
    noise_end: float = 0.0195
    """The last beta of `scaled_linear`; the first is 0.0015."""
    steps: int = 5000
    batch_size: int = 16
    learning_rate: float = 1e-3
    ema: float = 0.999
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    sampling_steps: int = 25
    sampling_batch: int = 50

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"ldm has no {name} {getattr(self, name)!r}", f"choose one of {', '.join(allowed)}")
        self._check_widths()
        self._model: Model | None = None
        self._shape: tuple[int, ...] = ()

    def _check_widths(self) -> None:
        least = 1 if self.autoencoder == "kl" else 2
        if len(self.autoencoder_widths) < least or not self.widths:
            raise UsageError(
                f"ldm was given autoencoder_widths {self.autoencoder_widths} and widths {self.widths}",
                f"give at least {least} of the former and 1 of the latter",
            )
        for level in self.attention:
            if not 0 <= level < len(self.widths):
                raise UsageError(f"there is no level {level} for attention", f"levels are 0 to {len(self.widths) - 1}")
            if self.head_channels and self.widths[level] % self.head_channels:
                raise UsageError(
                    f"head_channels {self.head_channels} does not divide level {level}'s width {self.widths[level]}",
                    "choose a divisor",
                )

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the autoencoder, encode the split, train the diffusion; both stages resume exactly from folder."""
        seed_all(seed)
        model = self._build(train.shape)
        feed = feed_split(train, pick_device(device))
        data = content_key(train.name, train.items, train.shape, str(train.pixels.dtype))

        def stage(name: str, share: float) -> dict[str, Any]:
            seconds = None if budget.seconds is None else share * budget.seconds
            options = {"data": data, **self._options(name)}
            where = {"folder": folder / name, "label": name, "budget": Budget(seconds), "options": options}
            return {**where, "seed": seed, "device": device}

        first, second = self._recipes()
        if isinstance(model.autoencoder, LinearAutoencoder):
            model.autoencoder.to(pick_device(device)).fit(feed)
        else:
            model.autoencoder = train_network(
                model.autoencoder,
                lambda net, images: net.loss(images),
                feed,
                first,
                **stage("autoencoder", AUTOENCODER_SHARE),
            )
        latents = encode_all(model.autoencoder, feed, self.sampling_batch)
        model.denoiser.scale.copy_(1 / latents.std())
        model.denoiser = train_network(
            model.denoiser,
            lambda net, values: net.loss(values),
            Resident(latents, latents.device),
            second,
            **stage("diffusion", 1 - AUTOENCODER_SHARE),
        )
        self._model, self._shape = model.eval(), train.shape

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches of `sampling_batch`, each from its own noise."""
        if prompts is not None:
            raise UsageError("ldm takes no prompts", "leave them out, or choose a text-to-image model")
        model = self._trained()
        for part in chunks(count, self.sampling_batch):
            noise = model.noise(part.stop - part.start, seed, part.start)
            yield model.generate(noise, self.sampling_steps).cpu().numpy()

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return each image's denoising error over ten fixed timesteps with the same noise for all, (N,), float32."""
        model = self._trained()
        return self._batchwise(lambda part: model.errors(part, seed), images)

    def reconstruct(self, images: Images) -> Images:
        """Return what the autoencoder makes of images, same shape."""
        return self._batchwise(self._trained().reconstruct, images)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and the numbers to build the networks again (JSON)."""
        model = self._trained()
        save_model(folder, model.state_dict(), {"hyperparameters": asdict(self), "shape": list(self._shape)})

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises AdapterError naming the file that cannot be used."""
        with usable(folder / DESCRIPTION) as path:
            description = read_json(path)
            saved = description["hyperparameters"]
            given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
            adapter = cls(**given)
            adapter._shape = tuple(description["shape"])
            model = adapter._build(adapter._shape)
        with usable(folder / WEIGHTS) as path:
            load_weights(model, path)
        adapter._model = model.to(pick_device(device)).eval()
        return adapter

    def _build(self, shape: tuple[int, ...]) -> Model:
        channels, size = shape[0], shape[1:]
        factor = 2 ** (len(self.autoencoder_widths) - 1)
        multiple = factor * 2 ** (len(self.widths) - 1)
        latent_channels, autoencoder = self._autoencoder(channels, size, factor, multiple)
        denoiser = build_denoiser(
            dims=len(size),
            latent_channels=latent_channels,
            widths=self.widths,
            blocks=self.blocks,
            attention=self.attention,
            head_channels=self.head_channels,
            residual_resampling=self.residual_resampling,
            prediction=self.prediction,
            noise_schedule=self.noise_schedule,
            noise_end=self.noise_end,
        )
        latent_sides = (-(-side // multiple) * multiple // factor for side in size)
        return Model(autoencoder, denoiser, (latent_channels, *latent_sides))

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

    def _recipes(self) -> tuple[Recipe, Recipe]:
        precision = cast(Literal["auto", "fp32", "bf16"], self.precision)
        first = Recipe(
            steps=self.autoencoder_steps,
            batch_size=self.autoencoder_batch,
            learning_rate=self.autoencoder_rate,
            ema=0,
            precision=precision,
        )
        second = Recipe(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            ema=self.ema,
            precision=precision,
        )
        return first, second

    def _options(self, stage: str) -> dict[str, object]:
        """Return the hyper-parameters that decide a stage's weights."""
        given = {name: value for name, value in asdict(self).items() if not name.startswith("sampling")}
        if stage == "autoencoder":
            return {name: v for name, v in given.items() if name.startswith(stage) or name in WITH_AUTOENCODER}
        return given

    def _trained(self) -> Model:
        if self._model is None:
            raise AdapterError("this ldm has not been trained", "call fit or load first")
        return self._model

    def _batchwise(self, function: Callable[[Tensor], Tensor], images: Images) -> Array:
        device, parts = self._trained().device, chunks(len(images), self.sampling_batch)
        done = [function(torch.from_numpy(images[part]).to(device)).cpu().numpy() for part in parts]
        return np.concatenate(done)
