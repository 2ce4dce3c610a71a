"""Guided sampling, step by step: what a text-to-image pipeline predicts with a prompt, and what without."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.core.errors import AdapterError
from benchmark.core.seeding import derive_seed
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from benchmark.core.types import Array

Scale = float | Callable[[int, Tensor], Tensor]
"""Of the guidance; or a function of the step's number and all norms so far (N, number + 1) to a scale each (N,)."""


@dataclass(frozen=True)
class Step:
    """One step of a trajectory, for N latents."""

    number: int
    time: Tensor
    before: Tensor
    """x_t, (N, ...)."""
    empty: Tensor
    """eps(x_t, empty), float32."""
    given: Tensor
    """eps(x_t, prompt), float32."""
    norms: Tensor
    """|| given - empty ||_2 as noise, not squared, (N,)."""
    after: Tensor
    """The next x_t; after the last step, the latents of the image."""


def prompt_seed(prompt: str, seed: int) -> int:
    """Return the seed of a prompt's noise: of its text, so that neither order nor sharding moves it."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return derive_seed(int.from_bytes(digest[:6], "big"), seed)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """Return the shape of one latent. Raises AdapterError where the pipeline does not say."""
    config = pipeline.unet.config
    side = config.get("sample_size")
    if side is None:
        raise AdapterError("the pipeline's unet has no sample_size", "set it in unet/config.json: the latent's side")
    height, width = (side, side) if isinstance(side, int) else side
    return int(config["in_channels"]), int(height), int(width)


def prompt_noise(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """Return the noise of each prompt with its seed, (N, *latent), drawn on the CPU."""
    return _noise(pipeline, [prompt_seed(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)])


def embed(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Return the text encoder's embeddings of prompts, (N, tokens, D).

    As the pipeline's own `encode_prompt` makes them, which however writes what it cuts off a prompt into the log.
    """
    encoder = pipeline.text_encoder
    ids, mask = tokenized(pipeline.tokenizer, prompts)
    masked = getattr(encoder.config, "use_attention_mask", False)
    embedded: Tensor = encoder(ids.to(encoder.device), attention_mask=mask.to(encoder.device) if masked else None)[0]
    return embedded.to(pipeline.unet.device, pipeline.unet.dtype)


def both_branches(pipeline: Any, given: Tensor) -> Tensor:
    """Put the empty prompt's embeddings before the given ones (N, tokens, D): (2N, tokens, D)."""
    return torch.cat([embed(pipeline, [""]).expand_as(given), given])


def ddim(pipeline: Any, steps: int) -> Any:
    """Return a DDIM scheduler of so many steps on the noise schedule that the pipeline was trained with.

    DDIMScheduler clips images to [-1, 1] unless told not to, which is wrong of latents: schedulers that know no
    clipping are taken at their word.
    """
    from diffusers import DDIMScheduler

    config = pipeline.scheduler.config
    scheduler = DDIMScheduler.from_config(config, clip_sample=config.get("clip_sample", False))
    scheduler.set_timesteps(steps, device=pipeline.unet.device)
    return scheduler


@torch.no_grad()
def trajectory(pipeline: Any, text: Tensor, noise: Tensor, *, steps: int, scale: Scale) -> Iterator[Step]:
    """Follow guided DDIM sampling (Song et al. 2021), one call of the unet a step for both branches.

    Args:
        pipeline: of Stable Diffusion's kind.
        text: (2N, tokens, D), empty prompts first, as of `both_branches`.
        noise: (N, *latent).
        steps: of DDIM, whatever the pipeline's own scheduler is.
        scale: of the guidance.
    """
    scheduler = ddim(pipeline, steps)
    latents = (noise * scheduler.init_noise_sigma).to(pipeline.unet.device, pipeline.unet.dtype)
    norms: list[Tensor] = []
    for number, time in enumerate(scheduler.timesteps):
        both = scheduler.scale_model_input(torch.cat([latents, latents]), time)
        empty, given = pipeline.unet(both, time, encoder_hidden_states=text).sample.float().chunk(2)
        norms.append(as_noise(given - empty, scheduler, time).flatten(1).norm(dim=1))
        factor = scale(number, torch.stack(norms, dim=1)).view(-1, 1, 1, 1) if callable(scale) else scale
        guided = empty + factor * (given - empty)
        after = scheduler.step(guided.to(latents.dtype), time, latents).prev_sample
        yield Step(number, time, latents, empty, given, norms[-1], after)
        latents = after


def guidance_norms(
    pipeline: Any, text: Tensor, noise: Tensor, *, steps: int, guidance: Scale, only: int | None = None
) -> tuple[Array, Tensor]:
    """Return || eps(x_t, prompt) - eps(x_t, empty) ||_2 of each prompt, and the last latents.

    Args:
        pipeline: of Stable Diffusion's kind: tokenizer, text encoder, unet, scheduler.
        text: (2N, tokens, D), empty prompts first, as of `both_branches`.
        noise: (N, *latent), as of `prompt_noise`.
        steps: of DDIM sampling.
        guidance: scale of the trajectory that x_t follows.
        only: stop after so many steps; the scores of the first step cost one of `steps` calls.

    Norms are (N, steps), float32. Outputs of other kinds than noise are converted, so that norms are of noise (Wen et
    al. 2024, 2407.21720; Dutt 2025, 2502.07516).
    """
    norms = []
    for step in islice(trajectory(pipeline, text, noise, steps=steps, scale=guidance), only):
        norms.append(step.norms)
    found: Array = torch.stack(norms, dim=1).cpu().numpy()
    return found, step.after


@torch.no_grad()
def both_texts(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Return the embeddings of the empty prompt and of prompts, (2N, tokens, D)."""
    return both_branches(pipeline, embed(pipeline, prompts))


@torch.no_grad()
def draw(
    pipeline: Any, prompts: Sequence[str] | None, *, seed: int, numbers: Sequence[int], steps: int, guidance: float
) -> Tensor:
    """Return the latents of samples with these numbers, (N, *latent): of a prompt each, or of no prompt at all."""
    noise = _noise(pipeline, [derive_seed(seed, number) for number in numbers])
    texts = [""] * len(numbers) if prompts is None else prompts
    return guidance_norms(pipeline, both_texts(pipeline, texts), noise, steps=steps, guidance=guidance)[1]


@torch.no_grad()
def decode(pipeline: Any, latents: Tensor) -> Tensor:
    """Return the images of latents, (N, C, height, width), float32, not clamped."""
    images: Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return images.float()


def as_noise(difference: Tensor, scheduler: Any, time: Tensor) -> Tensor:
    """Turn a difference of the unet's outputs into one of predicted noise."""
    signal: Tensor = scheduler.alphas_cumprod[int(time)].to(difference.device)
    kind = scheduler.config["prediction_type"]
    if kind == "epsilon":
        return difference
    if kind == "v_prediction":
        return signal.sqrt() * difference
    if kind == "sample":
        return -(signal / (1 - signal)).sqrt() * difference
    raise AdapterError(f"the pipeline predicts {kind!r}, which is no known kind", "use epsilon, v_prediction or sample")


def _noise(pipeline: Any, seeds: Sequence[int]) -> Tensor:
    shape = latent_shape(pipeline)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
