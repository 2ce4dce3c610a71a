"""The first stage: MONAI's AutoencoderKL or VQVAE behind one encode, decode and loss, for any image size."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.monai_import import import_monai


class Autoencoder(nn.Module):
    """Maps images (N, C, *spatial) to latents (N, latent channels, *spatial / factor) and back.

    Sides that are not a multiple of `multiple` are padded by repeating the border, and cropped again after decoding.
    """

    def __init__(self, body: nn.Module, size: tuple[int, ...], multiple: int) -> None:
        super().__init__()
        self.body: Any = body
        self.size = size
        self.extra = [-side % multiple for side in size]

    def pad(self, images: Tensor) -> Tensor:
        """Pad images (N, C, *spatial) at both ends of each axis to sides that the networks can halve."""
        ends = [end for extra in reversed(self.extra) for end in (extra // 2, extra - extra // 2)]
        return F.pad(images, ends, mode="replicate") if any(ends) else images

    def crop(self, images: Tensor) -> Tensor:
        """Remove the padding of `pad` from images (N, C, *padded)."""
        for axis, (side, extra) in enumerate(zip(self.size, self.extra, strict=True), start=2):
            images = images.narrow(axis, extra // 2, side)
        return images

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents that the diffusion model learns, (N, latent channels, *spatial / factor), unscaled."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, C, *spatial), not clamped."""
        raise NotImplementedError

    def loss(self, images: Tensor) -> Tensor:
        """Return the training loss of images (N, C, *spatial), a scalar."""
        raise NotImplementedError


class KLAutoencoder(Autoencoder):
    """Continuous latents with a weak Kullback-Leibler penalty towards a standard normal (Rombach et al. 2022, G)."""

    kl_weight = 1e-6
    """Only keeps latents from growing without bound: at this weight they stay far from a standard normal."""

    def encode(self, images: Tensor) -> Tensor:
        """Return the posterior mean, (N, latent channels, *spatial / factor): without noise, one latent per image."""
        mean: Tensor = self.body.encode(self.pad(images))[0]
        return mean

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, C, *spatial), not clamped."""
        return self.crop(self.body.decode(latents))

    def loss(self, images: Tensor) -> Tensor:
        """Return mean |x - D(z)| + weight KL(q(z | x) || N(0, 1)), the divergence summed over the latents of an image.

        The absolute error leaves edges sharper than the squared one, whose minimum is the mean of all likely images.
        """
        padded = self.pad(images)
        decoded, mean, sigma = self.body(padded)
        mean, sigma = mean.float(), sigma.float()  # bf16 would round the logarithm away
        # Of two normal distributions, in closed form (Kingma & Welling 2014, appendix B); 1e-12 against log 0.
        divergence = 0.5 * (mean**2 + sigma**2 - 1 - torch.log(sigma**2 + 1e-12)).flatten(1).sum(1).mean()
        loss: Tensor = F.l1_loss(decoded.float(), padded) + self.kl_weight * divergence
        return loss


class VQAutoencoder(Autoencoder):
    """Latents replaced by the nearest codebook entry when decoded (van den Oord et al. 2017).

    The diffusion model learns them before quantisation, and decoding quantises what it generates: the codebook corrects
    small errors (Rombach et al. 2022, section 3.1).
    """

    def encode(self, images: Tensor) -> Tensor:
        """Return the encoder's output before quantisation, (N, latent channels, *spatial / factor)."""
        latents: Tensor = self.body.encode(self.pad(images))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Quantise latents and return images (N, C, *spatial), not clamped."""
        return self.crop(self.body.decode_stage_2_outputs(latents))

    def loss(self, images: Tensor) -> Tensor:
        """Return mean |x - D(q(z))| + 0.25 |z - sg(q(z))|^2, with q the nearest codebook entry and sg without gradient.

        q has no derivative: the gradient of the decoder passes to the encoder unchanged (straight-through), and the
        second term, the commitment loss, keeps the encoder near the entries that it uses. The codebook learns without a
        gradient: each entry is the moving average of the latents assigned to it (van den Oord et al. 2017, appendix
        A.1). MONAI's EMAQuantizer, in `body`, does all three.
        """
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
    """Build an untrained autoencoder.

    Args:
        kind: `kl` or `vq`.
        channels: of the images.
        size: sides of the images, 2 or 3.
        widths: channels per level; each level after the first halves the image.
        blocks: residual blocks per level.
        latent_channels: of the latents.
        codebook: entries, for `vq`.
        attention: whether `kl` has self-attention at the bottom.
        multiple: sides are padded to a multiple of it.
    """
    if kind == "kl":
        return KLAutoencoder(_kl(channels, len(size), widths, blocks, latent_channels, attention), size, multiple)
    return VQAutoencoder(_vq(channels, len(size), widths, blocks, latent_channels, codebook), size, multiple)


def _kl(
    channels: int, dims: int, widths: tuple[int, ...], blocks: int, latent_channels: int, attention: bool
) -> nn.Module:
    import_monai()
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
    import_monai()
    from monai.networks.nets import VQVAE

    halvings = widths[1:]  # MONAI's VQVAE has no level at full resolution, which makes it cheaper than AutoencoderKL
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
