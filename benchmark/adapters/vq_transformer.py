"""Generators of two stages: a quantising autoencoder turns images into words, a transformer learns their sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.adapters.network import PRECISIONS, NetworkAdapter, check_choices, data_key, in_range
from benchmark.adapters.networks.autoencoder import Autoencoder, build_autoencoder
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import Budget, Split
from benchmark.training.batches import Resident, Streamed, feed_split
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train as train_network

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

AUTOENCODER_SHARE = 0.5
"""Of the budget's seconds; the prior has the rest."""


class TokenModel(nn.Module):
    """An autoencoder whose latents are entries of a codebook, and the prior of their sequences."""

    def __init__(self, autoencoder: Autoencoder, prior: nn.Module, sides: tuple[int, ...], codebook: int) -> None:
        super().__init__()
        self.autoencoder, self.prior, self.sides, self.codebook = autoencoder, prior, sides, codebook

    def words(self, images: Tensor) -> Tensor:
        """Return each image's entries in raster order, (N, words)."""
        codes: Tensor = self.autoencoder.body.index_quantize(self.autoencoder.pad(images))
        return codes.flatten(1)

    def images(self, words: Tensor) -> Tensor:
        """Return images, not clamped."""
        return self.autoencoder.crop(self.autoencoder.body.decode_samples(words.view(len(words), *self.sides)))

    def surprise(self, prior: nn.Module, words: Tensor) -> Tensor:
        """Return each image's mean cross-entropy, (N,), in nats a word."""
        words = words.long()
        logits = prior(self._begun(words)[:, :-1])[..., : self.codebook]  # the word that begins is never drawn
        return F.cross_entropy(logits.transpose(1, 2).float(), words, reduction="none").mean(1)

    def draw(self, count: int, random: torch.Generator, temperature: float) -> Tensor:
        """Draw words one after the other, (count, words)."""
        device = next(self.prior.parameters()).device
        words = torch.empty(count, 0, dtype=torch.long, device=device)
        for _ in range(math.prod(self.sides)):
            logits = self.prior(self._begun(words))[:, -1, : self.codebook].float() / temperature
            chances = logits.softmax(1).cpu()
            words = torch.cat([words, torch.multinomial(chances, 1, generator=random).to(device)], dim=1)
        return words

    def _begun(self, words: Tensor) -> Tensor:
        """Put the word that begins every sequence in front."""
        return torch.cat([words.new_full((len(words), 1), self.codebook), words], dim=1)


@dataclass
class TokenAdapter(NetworkAdapter[TokenModel]):
    """MONAI's VQVAE and DecoderOnlyTransformer."""

    widths: tuple[int, ...] = (64, 64, 64)
    """Channels a level; each halves the image."""
    blocks: int = 1
    codebook: int = 256
    embedding: int = 16
    """Numbers an entry of the codebook has."""
    autoencoder_steps: int = 3000
    autoencoder_batch: int = 32
    autoencoder_rate: float = 1e-3
    width: int = 128
    """Of the transformer."""
    depth: int = 4
    heads: int = 4
    steps: int = 3000
    """Of the transformer."""
    batch_size: int = 32
    learning_rate: float = 1e-3
    ema: float = 0.998
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    sampling_temperature: float = 1.0
    """1 draws from the prior as it is; below 1 likely words come more often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {"precision": PRECISIONS})
        if not self.widths:
            raise UsageError(f"{self.name} was given no widths", "give at least one, say 64,64,64")
        if self.width % self.heads:
            raise UsageError(f"{self.heads} heads do not divide a width of {self.width}", "choose a divisor")
        if not self.sampling_temperature > 0:
            raise UsageError(f"sampling_temperature is {self.sampling_temperature}", "give more than 0")

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the autoencoder, turn the split into words, train the prior; both resume exactly from folder."""
        seed_all(seed)
        model = self.build(train.shape)
        feed = feed_split(train, pick_device(device))
        seconds = [None if budget.seconds is None else share * budget.seconds for share in (AUTOENCODER_SHARE, 1)]
        common: dict[str, Any] = {
            "seed": seed,
            "device": device,
            "options": {"data": data_key(train), **self.decisive()},
        }
        model.autoencoder = self.train_autoencoder(
            model.autoencoder, feed, folder=folder / "autoencoder", budget=Budget(seconds[0]), **common
        )
        words = self._all_words(model, feed)
        model.prior = train_network(
            model.prior,
            lambda prior, batch: model.surprise(prior, batch).mean(),
            Resident(words, words.device),
            self.recipe(self.steps, self.batch_size, self.learning_rate, self.ema),
            folder=folder / "prior",
            label="prior",
            budget=Budget(seconds[1] and seconds[1] - (seconds[0] or 0)),
            **common,
        )
        self.trained(model, train.shape)

    def train_autoencoder(self, autoencoder: Autoencoder, feed: Resident | Streamed, **options: Any) -> Autoencoder:
        """Train the first stage; `options` go to `training.train`."""
        recipe = self.recipe(self.autoencoder_steps, self.autoencoder_batch, self.autoencoder_rate, 0)
        return train_network(
            autoencoder, lambda net, images: net.loss(images), feed, recipe, label="autoencoder", **options
        )

    def recipe(self, steps: int, batch_size: int, learning_rate: float, ema: float) -> TrainingConfig:
        """Return a stage's recipe."""
        precision = cast(Literal["auto", "fp32", "bf16"], self.precision)
        return TrainingConfig(
            steps=steps, batch_size=batch_size, learning_rate=learning_rate, ema=ema, precision=precision
        )

    @torch.no_grad()
    def _all_words(self, model: TokenModel, feed: Resident | Streamed) -> Tensor:
        parts = torch.arange(len(feed)).split(self.sampling_batch)
        return torch.cat([model.words(feed.take(part.numpy())) for part in parts]).int()

    def build(self, shape: tuple[int, ...]) -> TokenModel:
        """Return untrained networks for items of this shape."""
        from monai.networks.nets import DecoderOnlyTransformer

        size, multiple = shape[1:], 2 ** len(self.widths)
        sides = tuple(-(-side // multiple) for side in size)
        autoencoder = build_autoencoder(
            "vq",
            channels=shape[0],
            size=size,
            widths=(0, *self.widths),
            blocks=self.blocks,
            latent_channels=self.embedding,
            codebook=self.codebook,
            attention=False,
            multiple=multiple,
        )
        prior = DecoderOnlyTransformer(
            num_tokens=self.codebook + 1,
            max_seq_len=math.prod(sides) + 1,
            attn_layers_dim=self.width,
            attn_layers_depth=self.depth,
            attn_layers_heads=self.heads,
        )
        return TokenModel(autoencoder, prior, sides, self.codebook)

    def generate(self, net: TokenModel, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers."""
        random = torch.Generator().manual_seed(derive_seed(seed, part.start))
        return net.images(net.draw(part.stop - part.start, random, self.sampling_temperature))

    def reconstruct(self, images: Images) -> Images:
        """Return what the autoencoder makes of images, same shape."""
        net = self.network()
        return self.batchwise(lambda part: in_range(net.images(net.words(part)), self.name), images)

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return each image's mean surprise to the prior, (N,), in nats a word, float32."""
        net = self.network()
        return self.batchwise(lambda part: net.surprise(net.prior, net.words(part)), images)
