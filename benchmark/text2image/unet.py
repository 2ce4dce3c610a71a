"""Text-conditioned latent diffusion: the parts of a StableDiffusionPipeline, small, and the loss they learn by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.text2image.tokenizer import BEGIN, END, PAD

Batch = tuple[Tensor, Tensor, Tensor]


class TextDenoiser(nn.Module):
    """A U-Net with cross-attention to what a text encoder makes of a caption; both learn together."""

    empty: Tensor

    def __init__(
        self, unet: nn.Module, encoder: nn.Module, scheduler: Any, empty: Tensor, *, dropout: float, noise: float
    ) -> None:
        """Take the diffusers U-Net, the transformers encoder, and the noise schedule.

        Args:
            unet: predicts the noise.
            encoder: of tokens.
            scheduler: a DDPMScheduler.
            empty: (length,) tokens of the empty caption.
            dropout: share of captions left out, for classifier-free guidance (Ho & Salimans 2022).
            noise: deviation of Gaussian noise on the embeddings, a mitigation (Somepalli et al. 2023, 2305.20086).
        """
        super().__init__()
        self.unet, self.encoder = unet, encoder
        self.scheduler, self.dropout, self.noise = scheduler, dropout, noise
        self.register_buffer("empty", empty, persistent=False)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the predicted noise (Ho et al. 2020), a scalar."""
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
    """Return an untrained AutoencoderKL; each width after the first stands for a halving."""
    from diffusers import AutoencoderKL

    levels = len(widths)
    return AutoencoderKL(
        in_channels=channels, out_channels=channels, block_out_channels=tuple(widths), latent_channels=latent_channels,
        norm_num_groups=math.gcd(8, *widths), layers_per_block=1, mid_block_add_attention=False, sample_size=side,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
    )  # fmt: skip


def vae_loss(vae: Any, images: Tensor) -> Tensor:
    """Return mean |x - D(z)| + 1e-6 KL of the posterior, z drawn from it (Rombach et al. 2022)."""
    posterior = vae.encode(images).latent_dist
    decoded = vae.decode(posterior.sample()).sample
    loss: Tensor = F.l1_loss(decoded.float(), images) + 1e-6 * posterior.kl().float().mean()
    return loss


def build_unet(*, channels: int, side: int, widths: Sequence[int], text_width: int, head: int) -> Any:
    """Return an untrained UNet2DConditionModel with cross-attention on every level but the last, and in its middle."""
    from diffusers import UNet2DConditionModel

    crossed = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=side, in_channels=channels, out_channels=channels, block_out_channels=tuple(widths),
        layers_per_block=1, cross_attention_dim=text_width, norm_num_groups=math.gcd(16, *widths),
        attention_head_dim=head, mid_block_type="UNetMidBlock2DCrossAttn",
        down_block_types=(*("CrossAttnDownBlock2D",) * crossed, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * crossed),
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
def latents_of(vae: Any, images: Sequence[Tensor]) -> Tensor:
    """Return the means of the posteriors of batches of images, unscaled."""
    return torch.cat([vae.encode(batch).latent_dist.mean for batch in images])
