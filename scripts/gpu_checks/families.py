"""The networks of every model family, of any preset, with the losses that they train by and made-up items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.core.options import build
from benchmark.core.types import Budget, Split
from benchmark.plugins.registry import ModelCard, find_model, load_class
from benchmark.text2image.tokenizer import CaptionedLatents, train_tokenizer
from benchmark.text2image.unet import build_vae, vae_loss
from benchmark.training.batches import Feed, Resident
from benchmark.training.phases import Phase, as_phases

FLAT = ("ldm", "ddpm", "vae", "styled-gan", "vqvae", "vqgan", "ldm-text")
"""Families that train here on planes; stylegan2-ada needs NVIDIA's checkout and has a part of its own."""
SOLID = ("ldm", "ddpm", "vae", "vqvae", "vqgan")
CAPTIONS = ("no acute cardiopulmonary abnormality", "___ year old with pneumonia", "small left pleural effusion")
TOY_SIDE = 16


@dataclass(frozen=True)
class Case:
    """One network and how it trains."""

    name: str
    net: nn.Module
    phases: Sequence[Phase]
    feed: Feed[Any]
    batch: int
    ema: float

    def draw(self, count: int) -> Any:
        """Return random items as simply as can be, for a bare loop."""
        if isinstance(self.feed, Resident):
            values = self.feed.values
            picked = values[torch.randint(len(values), (count,), device=values.device)]
            return picked.float() / 127.5 - 1 if picked.dtype == torch.uint8 else picked
        assert isinstance(self.feed, CaptionedLatents)
        index = torch.randint(len(self.feed), (count,), device=self.feed.latents.device)
        return self.feed.latents[index], self.feed.tokens[index], self.feed.counts[index]


def adapter(family: str, preset: str, dims: int, **changes: object) -> Any:
    """Return a model with a preset's hyper-parameters, or those of `bench check` for `toy`."""
    card = find_model(family)
    assert isinstance(card, ModelCard)
    given = dict(card.toy)
    if preset != "toy":
        chosen = card.presets[preset]
        given = chosen.set | (chosen.volumes if dims == 3 else {})
    return build(load_class("models", card), given | changes, what=f"model {family}")


def shape_of(family: str, preset: str, dims: int) -> tuple[int, ...]:
    """Return the shape of the items that a preset is for, one channel."""
    if preset == "toy":
        return (1, *(TOY_SIDE,) * dims)
    card = find_model(family)
    assert isinstance(card, ModelCard)
    chosen = card.presets[preset]
    side = chosen.image_size if dims == 2 else chosen.volume_size
    assert side is not None, f"{family} {preset} has no size in {dims}D"
    return (1, *(side,) * dims)


def cases(family: str, preset: str, dims: int, device: torch.device, **changes: object) -> Iterator[Case]:
    """Yield each training of a family, on its device; changes are hyper-parameters."""
    model, shape = adapter(family, preset, dims, **changes), shape_of(family, preset, dims)
    made = _BUILDERS[family](model, shape, device)
    for name, net, phases, feed, batch, ema in made:
        title = f"{family} {preset}, {' x '.join(map(str, shape[1:]))}, {name}"
        yield Case(title, net.to(device), phases, feed, batch, ema)


Parts = Iterator[tuple[str, nn.Module, Sequence[Phase], Feed[Any], int, float]]


def _own(net: Any, batch: Any) -> Tensor:
    loss: Tensor = net.loss(batch)
    return loss


def _images(shape: Sequence[int], count: int, device: torch.device) -> Resident:
    """Return smooth random items, uint8: nothing is ever timed on zeros."""
    coarse = torch.rand(count, shape[0], *(4,) * (len(shape) - 1), device=device)
    mode = "bilinear" if len(shape) == 3 else "trilinear"
    fine = nn.functional.interpolate(coarse, size=list(shape[1:]), mode=mode)
    return Resident((fine * 255).to(torch.uint8), device)


def _items(batch: int, shape: Sequence[int]) -> int:
    return batch if len(shape) == 4 else max(batch, 64)


def _diffusion(model: Any, shape: tuple[int, ...], device: torch.device) -> Parts:
    net = model.build(shape)
    if model.name == "ldm" and model.autoencoder != "linear":
        batch = model.autoencoder_batch
        feed = _images(shape, _items(batch, shape), device)
        yield "autoencoder", net.autoencoder, as_phases(_own), feed, batch, 0.0
    count = _items(model.batch_size, shape)
    latents = Resident(torch.randn(count, *net.latent_shape, device=device), device)
    yield "diffusion", net.denoiser, as_phases(_own), latents, model.batch_size, model.ema


def _vae(model: Any, shape: tuple[int, ...], device: torch.device) -> Parts:
    feed = _images(shape, _items(model.batch_size, shape), device)
    yield "vae", model.build(shape), as_phases(_own), feed, model.batch_size, model.ema


def _gan(model: Any, shape: tuple[int, ...], device: torch.device) -> Parts:
    from benchmark.models.styled_gan.model import phases  # type: ignore[import-untyped]

    feed = _images(shape, _items(model.batch_size, shape), device)
    losses = phases(r1=model.r1, path=model.path)
    yield "both networks", model.build(shape), losses, feed, model.batch_size, model.ema


def _tokens(model: Any, shape: tuple[int, ...], device: torch.device) -> Parts:
    net, batch = model.build(shape).to(device), model.autoencoder_batch
    feed = _images(shape, _items(batch, shape), device)
    if model.name == "vqgan":
        from benchmark.models.vqgan.adversarial import Adversarial, phases  # type: ignore[import-untyped]

        both = Adversarial(net.autoencoder, model.discriminator_width, model.discriminator_layers)
        yield "autoencoder and adversary", both, phases(model.adversarial, 0), feed, batch, 0.0
    else:
        yield "autoencoder", net.autoencoder, as_phases(_own), feed, batch, 0.0
    count = _items(model.batch_size, shape)
    length = net.codebook_indices(feed.take(_first(1))).shape[1]
    indices = Resident(torch.randint(net.codebook, (count, length), device=device, dtype=torch.int32), device)
    yield (
        "prior", net.prior, as_phases(lambda prior, batch: net.cross_entropy(prior, batch).mean()), indices,
        model.batch_size, model.ema,
    )  # fmt: skip


def _text(model: Any, shape: tuple[int, ...], device: torch.device) -> Parts:
    vae = build_vae(
        channels=shape[0], side=shape[1], widths=model.vae_widths, latent_channels=model.latent_channels
    ).to(device)
    feed = _images(shape, _items(model.vae_batch, shape), device)
    yield "vae", vae, as_phases(vae_loss), feed, model.vae_batch, 0.0
    with torch.no_grad():
        latent = vae.encode(feed.take(_first(1))).latent_dist.mode().shape[1:]
    tokenizer = train_tokenizer(CAPTIONS, vocabulary=model.vocabulary, length=model.length)
    count = _items(model.batch_size, shape)
    texts = [[CAPTIONS[number % len(CAPTIONS)]] for number in range(count)]
    pairs = CaptionedLatents(torch.randn(count, *latent, device=device), texts, tokenizer)
    net = model._denoiser(tokenizer, tuple(latent))
    yield "diffusion", net, as_phases(_own), pairs, model.batch_size, model.ema


def _first(count: int) -> Any:
    import numpy as np

    return np.arange(count)


_BUILDERS = {
    "ldm": _diffusion, "ddpm": _diffusion, "vae": _vae, "styled-gan": _gan, "vqvae": _tokens, "vqgan": _tokens,
    "ldm-text": _text,
}  # fmt: skip


def fitted(family: str, train: Split, *, device: str, folder: Path, **changes: object) -> Any:
    """Train a family with the hyper-parameters of `bench check`, from seed 0; resumes where folder holds a start."""
    model = adapter(family, "toy", len(train.shape) - 1, **changes)
    model.fit(train, folder=folder / "fit", budget=Budget(), seed=0, device=device)
    return model


def weights(model: Any, folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a trained model, as it saves them."""
    from safetensors.torch import load_file

    model.save(folder)
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{file.parent.name}/{name}": value for file in files for name, value in load_file(file).items()}
