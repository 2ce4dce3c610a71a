"""Generators of two stages: a quantising autoencoder maps images to tokens, a transformer learns their sequences.

A token is the index of a codebook entry: the quantised latents of an image, read in raster order, are its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.adapters.network import (
    PRECISIONS,
    NetworkAdapter,
    check_choices,
    data_key,
    in_range,
    training_config,
)
from benchmark.adapters.networks.autoencoder import Autoencoder, build_autoencoder
from benchmark.core.devices import pick_device
from benchmark.core.errors import UsageError
from benchmark.core.monai_import import import_monai
from benchmark.core.seeding import derive_seed, seed_all
from benchmark.core.types import Budget, Split
from benchmark.images.augmentations import AUGMENTATIONS, find_augmentation
from benchmark.training.batches import Resident, Streamed, feed_split, in_order
from benchmark.training.config import TrainingConfig
from benchmark.training.loop import train as train_network

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

AUTOENCODER_SHARE = 0.5
"""Share of the budget's seconds; the transformer gets the rest."""


class TokenModel(nn.Module):
    """An autoencoder whose latents are entries of a codebook, and the transformer prior of their sequences.

    `sides` are those of the grid of latents: an image has prod(sides) tokens. The prior knows one index more than the
    codebook has: the start token, number `codebook`.
    """

    def __init__(self, autoencoder: Autoencoder, prior: nn.Module, sides: tuple[int, ...], codebook: int) -> None:
        super().__init__()
        self.autoencoder, self.prior, self.sides, self.codebook = autoencoder, prior, sides, codebook

    def codebook_indices(self, images: Tensor) -> Tensor:
        """Map images (N, C, *spatial) to their tokens in raster order, (N, tokens)."""
        indices: Tensor = self.autoencoder.body.index_quantize(self.autoencoder.pad(images))
        return indices.flatten(1)

    def decode_indices(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, tokens) to images (N, C, *spatial), not clamped."""
        return self.autoencoder.crop(self.autoencoder.body.decode_samples(tokens.view(len(tokens), *self.sides)))

    def cross_entropy(self, prior: nn.Module, tokens: Tensor) -> Tensor:
        """Return the mean cross-entropy of each image's tokens (N, tokens) under the prior, (N,), in nats per token."""
        tokens = tokens.long()
        # The prior sees the start token and all tokens but the last, and predicts each next one. The logit of the start
        # token is left out, as in sampling: it never follows another token.
        logits = prior(self._with_start(tokens)[:, :-1])[..., : self.codebook]
        return F.cross_entropy(logits.transpose(1, 2).float(), tokens, reduction="none").mean(1)

    def sample_indices(self, count: int, random: torch.Generator, temperature: float) -> Tensor:
        """Draw tokens one after the other, (count, tokens); all -1 where a prediction of a sequence is not finite."""
        device = next(self.prior.parameters()).device
        tokens = torch.empty(count, 0, dtype=torch.long, device=device)
        broken = torch.zeros(count, dtype=torch.bool)
        for _ in range(math.prod(self.sides)):
            logits = self.prior(self._with_start(tokens))[:, -1, : self.codebook].float() / temperature
            probabilities = logits.softmax(1).cpu()  # drawn on the CPU, so that every device draws the same tokens
            broken |= ~probabilities.isfinite().all(1)
            probabilities[broken] = 1.0  # equal chances: `multinomial` refuses NaN for all rows, without saying which
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1, generator=random).to(device)], dim=1)
        tokens[broken.to(device)] = -1
        return tokens

    def _with_start(self, tokens: Tensor) -> Tensor:
        """Put the start token in front of each sequence: (N, tokens) to (N, tokens + 1)."""
        return torch.cat([tokens.new_full((len(tokens), 1), self.codebook), tokens], dim=1)


@dataclass
class TokenAdapter(NetworkAdapter[TokenModel]):
    """MONAI's VQVAE and DecoderOnlyTransformer."""

    widths: tuple[int, ...] = (64, 64, 64)
    """Channels per level; each level halves the image."""
    blocks: int = 1
    codebook: int = 256
    embedding: int = 16
    """Numbers in an entry of the codebook."""
    autoencoder_steps: int = 3000
    autoencoder_batch: int = 32
    autoencoder_rate: float = 1e-3
    width: int = 128
    """Channels of the transformer."""
    depth: int = 4
    heads: int = 4
    augment: str = "none"
    """Augmentation of the training images: `none`, `flips`, `published` (flips and small rotations), or `strong`."""
    steps: int = 3000
    """Training steps of the transformer."""
    batch_size: int = 32
    learning_rate: float = 1e-3
    ema: float = 0.998
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    sampling_temperature: float = 1.0
    """Divides the logits: 1 samples from the prior as it is, less than 1 makes likely tokens more frequent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self.name, self, {"precision": PRECISIONS, "augment": tuple(AUGMENTATIONS)})
        if not self.widths:
            raise UsageError(f"{self.name} was given no widths", "give at least one, such as 64,64,64")
        if self.width % self.heads:
            raise UsageError(f"{self.heads} heads do not divide a width of {self.width}", "choose a divisor")
        if not self.sampling_temperature > 0:
            raise UsageError(f"sampling_temperature is {self.sampling_temperature}", "give more than 0")

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the autoencoder, encode the split as tokens, train the prior; both resume exactly from folder."""
        seed_all(seed)
        model = self.build(train.shape)
        feed = feed_split(train, pick_device(device))
        seconds = [None if budget.seconds is None else share * budget.seconds for share in (AUTOENCODER_SHARE, 1)]
        augment = find_augmentation(self.augment)
        common: dict[str, Any] = {
            "augment": augment,
            "seed": seed,
            "device": device,
            "options": {"data": data_key(train), **self.weight_options()},
        }
        model.autoencoder = self.train_autoencoder(
            model.autoencoder, feed, folder=folder / "autoencoder", budget=Budget(seconds[0]), **common
        )
        # Without augmentation each image has one sequence of tokens, computed once; else each batch is augmented first.
        loss = self._loss_of_images(model) if augment else self._loss_of_tokens(model)
        model.prior = train_network(
            model.prior,
            loss,
            feed if augment else self._all_indices(model, feed),
            training_config(self),
            folder=folder / "prior",
            label="prior",
            budget=Budget(seconds[1] and seconds[1] - (seconds[0] or 0)),
            watch=self.watch(lambda prior: TokenModel(model.autoencoder, prior, model.sides, model.codebook)),
            **common,
        )
        self.trained(model, train.shape)

    def train_autoencoder(self, autoencoder: Autoencoder, feed: Resident | Streamed, **options: Any) -> Autoencoder:
        """Train the first stage; `options` are passed to `training.loop.train`."""
        return train_network(
            autoencoder,
            lambda net, images: net.loss(images),
            feed,
            self.autoencoder_config(),
            label="autoencoder",
            **options,
        )

    def autoencoder_config(self) -> TrainingConfig:
        """Return the training configuration of the first stage.

        Without an average of weights: the codebook is a moving average already, of the encoder as it is now.
        """
        return training_config(
            self,
            steps=self.autoencoder_steps,
            batch_size=self.autoencoder_batch,
            learning_rate=self.autoencoder_rate,
            ema=0,
        )

    @torch.no_grad()
    def _all_indices(self, model: TokenModel, feed: Resident | Streamed) -> Resident:
        """Return the tokens of a whole feed, (N, tokens), int32, as a feed."""
        batches = in_order(feed, self.sampling_batch)
        tokens = torch.cat([model.codebook_indices(images) for images in batches]).int()
        return Resident(tokens, tokens.device)

    def _loss_of_tokens(self, model: TokenModel) -> Callable[[nn.Module, Tensor], Tensor]:
        return lambda prior, tokens: model.cross_entropy(prior, tokens).mean()

    def _loss_of_images(self, model: TokenModel) -> Callable[[nn.Module, Tensor], Tensor]:
        def loss(prior: nn.Module, images: Tensor) -> Tensor:
            with torch.no_grad():
                tokens = model.codebook_indices(images)
            return model.cross_entropy(prior, tokens).mean()

        return loss

    def build(self, shape: tuple[int, ...]) -> TokenModel:
        """Return untrained networks for items of this shape."""
        import_monai()
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
            num_tokens=self.codebook + 1,  # one more for the start token
            max_seq_len=math.prod(sides) + 1,
            attn_layers_dim=self.width,
            attn_layers_depth=self.depth,
            attn_layers_heads=self.heads,
        )
        return TokenModel(autoencoder, prior, sides, self.codebook)

    def generate(self, net: TokenModel, seed: int, part: slice) -> Tensor:
        """Return the samples with these numbers, (n, C, *spatial); NaN where the prior's prediction is not finite."""
        random = torch.Generator().manual_seed(derive_seed(seed, part.start))
        tokens = net.sample_indices(part.stop - part.start, random, self.sampling_temperature)
        images = net.decode_indices(tokens.clamp(min=0))
        images[(tokens < 0).any(1)] = torch.nan
        return images

    def reconstruct(self, images: Images) -> Images:
        """Return the autoencoder's reconstruction of images (N, C, *spatial), same shape."""
        net = self.network()
        return self.batchwise(lambda part: in_range(net.decode_indices(net.codebook_indices(part))), images)

    def losses(self, images: Images, *, seed: int) -> Array:
        """Return the mean cross-entropy of each image's tokens under the prior, (N,), in nats per token, float32."""
        net = self.network()
        return self.batchwise(lambda part: net.cross_entropy(net.prior, net.codebook_indices(part)), images)
