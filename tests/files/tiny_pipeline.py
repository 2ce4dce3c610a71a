"""A text-to-image pipeline of random weights, small enough to be made in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmark.text2image.tokenizer import train_tokenizer

CAPTIONS = ("no acute cardiopulmonary abnormality", "___ year old with pneumonia", "small left pleural effusion")
TOKENS = 16


def tokenizer() -> Any:
    """A WordPiece tokenizer that keeps a run of underscores as one word."""
    return train_tokenizer(CAPTIONS, vocabulary=256, length=TOKENS)


def save_tiny(folder: Path, *, widths: tuple[int, int] = (16, 32), side: int = 8, channels: int = 1) -> Path:
    """Write a StableDiffusionPipeline of images of 2 * side pixels a side, as `save_pretrained` does."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    words = tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=TOKENS, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    autoencoder = AutoencoderKL(
        in_channels=channels, out_channels=channels, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4,
        layers_per_block=1, mid_block_add_attention=False, sample_size=2 * side,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=side, in_channels=4, out_channels=4, block_out_channels=widths, layers_per_block=1,
        cross_attention_dim=32, norm_num_groups=8, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
    )  # fmt: skip
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False, steps_offset=1)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder, text_encoder=CLIPTextModel(text), tokenizer=words, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder
