"""Scores of prompts: are they ranked alike in bf16 and fp32, what does the first step alone save, which batch pays?"""

from __future__ import annotations

import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmark.core.devices import pick_device
from benchmark.metrics.prompts import rank_correlation
from benchmark.text2image.loading import open_model
from benchmark.text2image.options import PRECISIONS, PromptSampling
from benchmark.text2image.prompts import PromptList, read_prompts
from benchmark.text2image.tokenizer import train_tokenizer
from benchmark.text2image.tracing import trace
from scripts.gpu_checks.check import Check
from scripts.gpu_checks.timing import now
from scripts.rank_precisions import scored

WORDS = (
    "no", "acute", "small", "large", "left", "right", "pleural", "effusion", "pneumonia", "oedema", "nodule", "mass",
    "lower", "upper", "lobe", "stable", "mild", "severe", "___", "year", "old", "with", "tube", "in", "place",
)  # fmt: skip
TOKENS = 24


def run(check: Check) -> None:
    """Make a pipeline of random weights, then compare precisions, steps and batches."""
    device = pick_device(check.device)
    with TemporaryDirectory(dir=check.folder) as name:
        folder = Path(name)
        model = pipeline(folder / "model", *(((16, 32), 8) if check.tiny else ((128, 256), 32)))
        prompts = listed(folder / "prompts.csv", 12 if check.tiny else 400)
        with check.trying("precisions"):
            precisions(check, model, prompts, folder)
        with check.trying("first step and batches"):
            batches(check, model, list(prompts.table["prompt"]), device)


def pipeline(folder: Path, widths: tuple[int, int], side: int) -> Path:
    """Write a StableDiffusionPipeline of random weights for latents of this side."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    words = train_tokenizer(WORDS, vocabulary=256, length=TOKENS)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=TOKENS, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    vae = AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4,
        layers_per_block=1, mid_block_add_attention=False, sample_size=2 * side,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=side, in_channels=4, out_channels=4, block_out_channels=widths, layers_per_block=1,
        cross_attention_dim=64, norm_num_groups=8, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=words, unet=unet,
        scheduler=DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def listed(path: Path, count: int) -> PromptList:
    """Write and read a list of different random prompts."""
    rng = random.Random(0)
    texts = {" ".join(rng.choices(WORDS, k=rng.randint(3, 12))) for _ in range(count)}
    path.write_text("prompt\n" + "\n".join(sorted(texts)) + "\n", encoding="utf-8")
    return read_prompts(path, "prompt")


def precisions(check: Check, model: Path, prompts: PromptList, folder: Path) -> None:
    """Rank the prompts in fp32 and in bf16."""
    steps = 2 if check.tiny else 20
    whole, half = (
        scored(model, prompts, PromptSampling(steps=steps, seeds=2, precision=precision), check.device, folder)
        for precision in PRECISIONS
    )
    top = max(1, len(whole) // 20)
    for name in ("d_mem", "first"):
        kept = len(set(whole[name].nlargest(top).index) & set(half[name].nlargest(top).index))
        moved = float(((half[name] - whole[name]).abs() / whole[name]).median())
        detail = f"{len(whole)} prompts; {kept} of the top {top} stay; values move by {moved:.2%}"
        ranks = rank_correlation(whole[name].to_numpy(), half[name].to_numpy())
        check.measure(f"{name}, bf16 against fp32", math.nan if ranks is None else ranks, "Spearman", detail=detail)


def batches(check: Check, model: Path, texts: list[str], device: torch.device) -> None:
    """Time batches of several sizes in both precisions, all steps and the first alone."""
    steps = 2 if check.tiny else 20
    for precision in PRECISIONS:
        opened = open_model(str(model), check.device, precision)
        for batch in (4,) if check.tiny else (8, 32, 128, 512):
            whole = _seconds(opened.pipeline, texts, batch, steps, None, device)
            first = _seconds(opened.pipeline, texts, batch, steps, 1, device)
            detail = f"{steps} steps; the first alone {whole / first:.3g} times cheaper"
            check.measure(f"prompts, {precision}, batch {batch}", batch / whole, "per second", detail=detail)


def _seconds(pipeline: Any, texts: list[str], batch: int, steps: int, only: int | None, device: torch.device) -> float:
    """Return the seconds that one batch takes, the second time."""
    some = [texts[number % len(texts)] for number in range(batch)]
    for _ in range(2):
        began = now(device)
        trace(pipeline, some, list(range(batch)), steps=steps, guidance=7.5, further=False, only=only)
    return now(device) - began
