"""The first stage: MONAI's AutoencoderKL or VQVAE behind one encode, decode and loss, for any image size."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Images (N, C, *spatial) to latents (N, latent channels, *spatial / factor) and back.

    Sides that are no multiple of `multiple` are padded by repeating the border, and cropped again after decoding.
    """

    def __init__(self, body: nn.Module, size: tuple[int, ...], multiple: int) -> None:
        super().__init__()
        self.body: Any = body
        self.size = size
        self.extra = [-side % multiple for side in size]

    def pad(self, images: Tensor) -> Tensor:
        """Grow images at both ends of each axis to the sides that the networks can halve."""
        ends = [end for extra in reversed(self.extra) for end in (extra // 2, extra - extra // 2)]
        return F.pad(images, ends, mode="replicate") if any(ends) else images

    def crop(self, images: Tensor) -> Tensor:
        """Undo `pad`."""
        for axis, (side, extra) in enumerate(zip(self.size, self.extra, strict=True), start=2):
            images = images.narrow(axis, extra // 2, side)
        return images

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents that the diffusion learns; unscaled."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        """Return images, not clamped."""
        raise NotImplementedError

    def loss(self, images: Tensor) -> Tensor:
        """Return the training loss, a scalar."""
        raise NotImplementedError


class KLAutoencoder(Autoencoder):
    """Continuous latents, held near a standard normal by a small Kullback-Leibler term (Rombach et al. 2022, G)."""

    kl_weight = 1e-6

    def encode(self, images: Tensor) -> Tensor:
        """Return the mean of the posterior."""
        mean: Tensor = self.body.encode(self.pad(images))[0]
        return mean

    def decode(self, latents: Tensor) -> Tensor:
        """Return images, not clamped."""
        return self.crop(self.body.decode(latents))

    def loss(self, images: Tensor) -> Tensor:
        """Return mean |x - D(z)| + weight KL(q(z | x) || N(0, 1)), the divergence summed over an image's latents."""
        padded = self.pad(images)
        decoded, mean, sigma = self.body(padded)
        mean, sigma = mean.float(), sigma.float()
        divergence = 0.5 * (mean**2 + sigma**2 - 1 - torch.log(sigma**2 + 1e-12)).flatten(1).sum(1).mean()
        loss: Tensor = F.l1_loss(decoded.float(), padded) + self.kl_weight * divergence
        return loss


class VQAutoencoder(Autoencoder):
    """Latents snapped to a codebook when decoded (van den Oord et al. 2017); the diffusion learns them unsnapped."""

    def encode(self, images: Tensor) -> Tensor:
        """Return the encoder's output before quantisation."""
        latents: Tensor = self.body.encode(self.pad(images))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Quantise, and return images, not clamped."""
        return self.crop(self.body.decode_stage_2_outputs(latents))

    def loss(self, images: Tensor) -> Tensor:
        """Return mean |x - D(z)| plus MONAI's commitment loss."""
        padded = self.pad(images)
        decoded, commitment = self.body(padded)
        loss: Tensor = F.l1_loss(decoded.float(), padded) + commitment
        return loss


def build_autoencoder(
    kind: str,
    *,
    channels: int,
    size: tuple[int, ...],
    widths: tuple[int, ...],
    blocks: int,
    latent_channels: int,
    codebook: int,
    attention: bool,
    multiple: int,
) -> Autoencoder:
    """Build an untrained autoencoder; each width after the first stands for a halving of the image."""
    if kind == "kl":
        return KLAutoencoder(_kl(channels, len(size), widths, blocks, latent_channels, attention), size, multiple)
    return VQAutoencoder(_vq(channels, len(size), widths, blocks, latent_channels, codebook), size, multiple)


def _kl(
    channels: int, dims: int, widths: tuple[int, ...], blocks: int, latent_channels: int, attention: bool
) -> nn.Module:
    from monai.networks.nets import AutoencoderKL

    body: nn.Module = AutoencoderKL(
        dims,
        channels,
        channels,
        num_res_blocks=blocks,
        channels=widths,
        attention_levels=(False,) * len(widths),
        latent_channels=latent_channels,
        norm_num_groups=math.gcd(32, *widths),
        with_encoder_nonlocal_attn=attention,
        with_decoder_nonlocal_attn=attention,
    )
    return body


def _vq(
    channels: int, dims: int, widths: tuple[int, ...], blocks: int, latent_channels: int, codebook: int
) -> nn.Module:
    from monai.networks.nets import VQVAE

    halvings = widths[1:]  # MONAI's VQVAE has no level at full resolution, which is why it is the cheaper one
    body: nn.Module = VQVAE(
        dims,
        channels,
        channels,
        channels=halvings,
        num_res_layers=blocks,
        num_res_channels=halvings,
        downsample_parameters=((2, 4, 1, 1),) * len(halvings),
        upsample_parameters=((2, 4, 1, 1, 0),) * len(halvings),
        num_embeddings=codebook,
        embedding_dim=latent_channels,
    )
    return body
