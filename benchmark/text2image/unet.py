"""Text-conditioned latent diffusion: small versions of the parts of a StableDiffusionPipeline, and their losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.text2image.tokenizer import BEGIN, END, PAD

Batch = tuple[Tensor, Tensor, Tensor]
"""Latents (n, C, *spatial), tokens of alternative captions (n, most, length), numbers of alternatives (n,)."""


class TextDenoiser(nn.Module):
    """A U-Net with cross-attention to the embeddings of a text encoder; both are trained together."""

    empty: Tensor
    """Tokens of the empty caption, (length,)."""

    def __init__(
        self, unet: nn.Module, encoder: nn.Module, scheduler: Any, empty: Tensor, *, dropout: float, noise: float
    ) -> None:
        """Take the networks and the noise schedule.

        Args:
            unet: of diffusers; predicts the noise.
            encoder: of transformers; maps tokens to embeddings.
            scheduler: a DDPMScheduler.
            empty: (length,) tokens of the empty caption.
            dropout: share of captions replaced by the empty one. The network so also learns the unconditional
                prediction, which classifier-free guidance subtracts (Ho & Salimans 2022).
            noise: standard deviation of Gaussian noise on the embeddings, a mitigation (Somepalli et al. 2023,
                2305.20086).
        """
        super().__init__()
        self.unet, self.encoder = unet, encoder
        self.scheduler, self.dropout, self.noise = scheduler, dropout, noise
        self.register_buffer("empty", empty, persistent=False)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the predicted noise at random timesteps (Ho et al. 2020), a scalar."""
        latents, alternatives, counts = batch
        device = latents.device
        drawn = (torch.rand(len(latents), device=device) * counts).long()
        tokens = alternatives[torch.arange(len(latents), device=device), drawn]
        dropped = torch.rand(len(latents), device=device) < self.dropout
        tokens = torch.where(dropped[:, None], self.empty, tokens)
        embedded = self.encoder(tokens)[0]
        if self.noise:
            embedded = embedded + self.noise * torch.randn_like(embedded)
        noise = torch.randn_like(latents)
        times = torch.randint(self.scheduler.config.num_train_timesteps, (len(latents),), device=device)
        noised = self.scheduler.add_noise(latents, noise, times)
        predicted = self.unet(noised, times, encoder_hidden_states=embedded).sample
        error: Tensor = F.mse_loss(predicted.float(), noise.float())
        return error


def build_vae(*, channels: int, side: int, widths: Sequence[int], latent_channels: int) -> Any:
    """Return an untrained AutoencoderKL for images (N, channels, side, side); widths after the first halve them."""
    from diffusers import AutoencoderKL

    levels = len(widths)
    return AutoencoderKL(
        in_channels=channels, out_channels=channels, block_out_channels=tuple(widths), latent_channels=latent_channels,
        norm_num_groups=math.gcd(8, *widths), layers_per_block=1, mid_block_add_attention=False, sample_size=side,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
    )  # fmt: skip


def vae_loss(vae: Any, images: Tensor) -> Tensor:
    """Return mean |x - D(z)| + 1e-6 KL(q(z | x) || N(0, 1)) of images x (N, C, H, W), z drawn from q, a scalar.

    The weight is that of Rombach et al. (2022, appendix G): it only keeps latents from growing without bound.
    """
    posterior = vae.encode(images).latent_dist
    decoded = vae.decode(posterior.sample()).sample
    loss: Tensor = F.l1_loss(decoded.float(), images) + 1e-6 * posterior.kl().float().mean()
    return loss


def build_unet(*, channels: int, side: int, widths: Sequence[int], text_width: int, head: int) -> Any:
    """Return an untrained UNet2DConditionModel with cross-attention at every level but the last, and in the middle."""
    from diffusers import UNet2DConditionModel

    with_attention = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=side, in_channels=channels, out_channels=channels, block_out_channels=tuple(widths),
        layers_per_block=1, cross_attention_dim=text_width, norm_num_groups=math.gcd(16, *widths),
        attention_head_dim=head, mid_block_type="UNetMidBlock2DCrossAttn",
        down_block_types=(*("CrossAttnDownBlock2D",) * with_attention, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * with_attention),
    )  # fmt: skip


def build_encoder(*, vocabulary: int, length: int, width: int, layers: int) -> Any:
    """Return an untrained CLIP text encoder (Radford et al. 2021)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
            num_attention_heads=max(1, width // 16), max_position_embeddings=length, pad_token_id=PAD,
            bos_token_id=BEGIN, eos_token_id=END,
        )
    )  # fmt: skip


@torch.no_grad()
def latents_of(vae: Any, images: Iterable[Tensor]) -> Tensor:
    """Return the posterior means of batches of images (n, C, H, W), (N, *latent), unscaled."""
    return torch.cat([vae.encode(batch).latent_dist.mean for batch in images])
