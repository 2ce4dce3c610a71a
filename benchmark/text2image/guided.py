"""Guided sampling, step by step: what a text-to-image pipeline predicts with a prompt, and what without one.

d_mem of a prompt is the mean over steps and seeds of || eps(x_t, prompt) - eps(x_t, empty) ||_2 along guided DDIM
sampling. A memorised prompt leads to one image whatever the noise: it moves the prediction further than other prompts
(Wen et al. 2024, 2407.21720; Dutt 2025, 2502.07516).

On a schedule with zero terminal SNR (Lin et al. 2024, 2305.08891) the first step has alpha = 0: x_t is pure noise, so
the noise that any output implies is x_t itself and the difference of two is 0 for every prompt. `guidance_of` measures
that one step in the network's own output; `blind_steps` counts it, so that means over steps leave it out.
"""

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
from benchmark.text2image.noise import BETA_SCHEDULES, unsupported_noise
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from benchmark.core.types import Array

GuidanceScale = float | Callable[[int, Tensor], Tensor]
"""A number; or a function of the step's number and all norms so far, (N, number + 1), that returns (N,) scales."""


@dataclass(frozen=True)
class DenoisingStep:
    """One sampling step of N latents."""

    number: int
    timestep: Tensor
    latents: Tensor
    """x_t, (N, *latent)."""
    unconditional: Tensor
    """Output of the U-Net for the empty prompt, (N, *latent), float32."""
    conditional: Tensor
    """Output of the U-Net for the prompt, (N, *latent), float32."""
    norms: Tensor
    """|| eps(x_t, prompt) - eps(x_t, empty) ||_2, not squared, (N,); at zero SNR as of `guidance_of`."""
    next_latents: Tensor
    """x at the next timestep, (N, *latent); after the last step, the latents of the image."""


def prompt_seed(prompt: str, seed: int) -> int:
    """Return the seed of a prompt's noise, a function of text and seed: the order of a list does not change it."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return derive_seed(int.from_bytes(digest[:6], "big"), seed)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """Return the shape of one latent, (channels, height, width). Raises AdapterError where the pipeline lacks it."""
    config = pipeline.unet.config
    side = config.get("sample_size")
    if side is None:
        raise AdapterError("the pipeline's unet has no sample_size", "set it in unet/config.json: the side of a latent")
    height, width = (side, side) if isinstance(side, int) else side
    return int(config["in_channels"]), int(height), int(width)


def prompt_noise(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """Return the noise of N prompts with a seed each, (N, *latent), drawn on the CPU: the same for every device."""
    return _noise(pipeline, [prompt_seed(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)])


def embed(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Return the text encoder's embeddings of N prompts, (N, tokens, D).

    They equal those of the pipeline's own `encode_prompt`, which however writes what it cuts off long prompts, private
    text, to the log.
    """
    encoder = pipeline.text_encoder
    ids, mask = tokenized(pipeline.tokenizer, prompts)
    masked = getattr(encoder.config, "use_attention_mask", False)
    embedded: Tensor = encoder(ids.to(encoder.device), attention_mask=mask.to(encoder.device) if masked else None)[0]
    return embedded.to(pipeline.unet.device, pipeline.unet.dtype)


def prepend_empty(pipeline: Any, embeddings: Tensor) -> Tensor:
    """Put the empty prompt's embeddings before those of prompts: (N, tokens, D) to (2N, tokens, D)."""
    return torch.cat([embed(pipeline, [""]).expand_as(embeddings), embeddings])


def ddim_scheduler(pipeline: Any, steps: int) -> Any:
    """Return a DDIM scheduler with this many steps on the noise schedule that the pipeline was trained with.

    By default, DDIMScheduler clips its estimate of the clean image to [-1, 1], a range that latents do not have. Here
    it clips only where the pipeline's own scheduler has `clip_sample` set.

    Raises AdapterError where the pipeline was trained with noise that DDIM does not describe.
    """
    from diffusers import DDIMScheduler

    if reason := unsupported_noise(pipeline.scheduler):
        raise AdapterError(f"the pipeline {reason}", "give a pipeline whose noise is added as by DDPM")
    config = pipeline.scheduler.config
    changes = {"clip_sample": config.get("clip_sample", False)}
    if config["beta_schedule"] not in BETA_SCHEDULES:  # such as DDPM's `sigmoid`: the betas themselves say the same
        changes |= {"trained_betas": pipeline.scheduler.betas.tolist(), "beta_schedule": "linear"}
    scheduler = DDIMScheduler.from_config(config, **changes)
    scheduler.set_timesteps(steps, device=pipeline.unet.device)
    return scheduler


@torch.no_grad()
def trajectory(
    pipeline: Any, text: Tensor, noise: Tensor, *, steps: int, scale: GuidanceScale
) -> Iterator[DenoisingStep]:
    """Yield the steps of guided DDIM sampling (Song et al. 2021), with one call of the U-Net for both branches.

    Args:
        pipeline: of Stable Diffusion's kind.
        text: (2N, tokens, D), empty prompts first, as of `prepend_empty`.
        noise: (N, *latent).
        steps: of DDIM, whatever the pipeline's own scheduler is.
        scale: of classifier-free guidance (Ho & Salimans 2022): eps = eps(empty) + scale (eps(prompt) - eps(empty)).
    """
    scheduler = ddim_scheduler(pipeline, steps)
    latents = (noise * scheduler.init_noise_sigma).to(pipeline.unet.device, pipeline.unet.dtype)
    history: list[Tensor] = []
    for number, timestep in enumerate(scheduler.timesteps):
        both = scheduler.scale_model_input(torch.cat([latents, latents]), timestep)
        outputs = pipeline.unet(both, timestep, encoder_hidden_states=text).sample.float()
        unconditional, conditional = outputs.chunk(2)
        difference = conditional - unconditional
        norms = guidance_of(difference, scheduler, timestep).flatten(1).norm(dim=1)
        # Of noise in every step, 0 at zero SNR: a scale that looks for a minimum over steps needs one unit throughout.
        history.append(as_noise(difference, scheduler, timestep).flatten(1).norm(dim=1))
        factor = scale(number, torch.stack(history, dim=1)).view(-1, 1, 1, 1) if callable(scale) else scale
        guided = unconditional + factor * (conditional - unconditional)
        next_latents = scheduler.step(guided.to(latents.dtype), timestep, latents).prev_sample
        yield DenoisingStep(number, timestep, latents, unconditional, conditional, norms, next_latents)
        latents = next_latents


def guidance_norms(
    pipeline: Any, text: Tensor, noise: Tensor, *, steps: int, guidance: GuidanceScale, only: int | None = None
) -> tuple[Array, Tensor]:
    """Return || eps(x_t, prompt) - eps(x_t, empty) ||_2 of each prompt and step, and the last latents.

    Args:
        pipeline: of Stable Diffusion's kind: tokenizer, text encoder, unet, scheduler.
        text: (2N, tokens, D), empty prompts first, as of `prepend_empty`.
        noise: (N, *latent), as of `prompt_noise`.
        steps: of DDIM sampling.
        guidance: scale of the trajectory that x_t follows.
        only: stop after so many steps; the scores of the first step then cost one of `steps` calls.

    Norms are (N, steps), float32, latents (N, *latent). Outputs other than noise are converted, so that norms are
    of noise (Wen et al. 2024, 2407.21720; Dutt 2025, 2502.07516) in all but the first `blind_steps`.
    """
    norms = []
    for step in islice(trajectory(pipeline, text, noise, steps=steps, scale=guidance), only):
        norms.append(step.norms)
    stacked: Array = torch.stack(norms, dim=1).cpu().numpy()
    return stacked, step.next_latents


@torch.no_grad()
def embed_with_empty(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Return the embeddings of N empty prompts and of N prompts, (2N, tokens, D)."""
    return prepend_empty(pipeline, embed(pipeline, prompts))


@torch.no_grad()
def sample_latents(
    pipeline: Any, prompts: Sequence[str] | None, *, seed: int, numbers: Sequence[int], steps: int, guidance: float
) -> Tensor:
    """Return the latents of the samples with these numbers, (N, *latent): of N prompts, or without prompts."""
    noise = _noise(pipeline, [derive_seed(seed, number) for number in numbers])
    texts = [""] * len(numbers) if prompts is None else prompts
    return guidance_norms(pipeline, embed_with_empty(pipeline, texts), noise, steps=steps, guidance=guidance)[1]


@torch.no_grad()
def decode(pipeline: Any, latents: Tensor) -> Tensor:
    """Map latents (N, *latent) to images (N, C, height, width), float32, not clamped."""
    # The U-Net works on latents times scaling_factor, 1 / their standard deviation (Rombach et al. 2022, appendix G).
    images: Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return images.float()


def decode_images(pipeline: Any, latents: Tensor) -> Tensor:
    """Map latents (N, *latent) to images (N, C, height, width), float32 in [-1, 1].

    Raises AdapterError where a value is not finite: clamped, an overflow would pass for white or black.
    """
    images = decode(pipeline, latents)
    if not torch.isfinite(images).all():
        raise AdapterError(
            "the images of the pipeline's autoencoder are not finite",
            "its weights are damaged, or overflow in this precision: use --precision fp32",
        )
    return images.clamp(-1, 1)


def as_noise(difference: Tensor, scheduler: Any, timestep: Tensor) -> Tensor:
    """Convert the difference of two outputs of the U-Net (N, *latent) for one x_t into that of predicted noises.

    With a = alphas_cumprod[t], x_t = sqrt(a) x + sqrt(1 - a) eps and v = sqrt(a) eps - sqrt(1 - a) x give
    eps = sqrt(a) v + sqrt(1 - a) x_t = (x_t - sqrt(a) x) / sqrt(1 - a); the terms in x_t cancel in a difference.

    Raises AdapterError for an unknown kind of output.
    """
    signal = _signal(scheduler, timestep).to(difference.device)
    kind = scheduler.config["prediction_type"]
    if kind == "epsilon":
        return difference
    if kind == "v_prediction":
        return signal.sqrt() * difference
    if kind == "sample":
        return -(signal / (1 - signal)).sqrt() * difference
    raise AdapterError(f"the pipeline predicts {kind!r}, which is not supported", "use epsilon, v_prediction or sample")


def guidance_of(difference: Tensor, scheduler: Any, timestep: Tensor) -> Tensor:
    """Return the difference (N, *latent) as predicted noise, `as_noise`, or at alpha = 0 as it is.

    By the formulas of `as_noise`, || d eps || = sqrt(a) || d v || = sqrt(a / (1 - a)) || d x ||. At one timestep the
    factor is the same for all prompts, so noise and output rank prompts alike. As a falls to 0 the norm of noise
    vanishes but the ranks stay, and the limit of || d eps || / sqrt(a / (1 - a)) is || d x || = || d v ||. Hence the
    difference itself at alpha = 0. It is on another scale than noise: means over steps leave it out.
    """
    return difference if _signal(scheduler, timestep) == 0 else as_noise(difference, scheduler, timestep)


def blind_steps(pipeline: Any, steps: int) -> int:
    """Return how many of the first sampling steps have alpha = 0, 0 or 1: their norms are not of noise."""
    scheduler = ddim_scheduler(pipeline, steps)
    return int((scheduler.alphas_cumprod[scheduler.timesteps.cpu()] == 0).sum())


def _signal(scheduler: Any, timestep: Tensor) -> Tensor:
    signal: Tensor = scheduler.alphas_cumprod[int(timestep)]
    return signal


def _noise(pipeline: Any, seeds: Sequence[int]) -> Tensor:
    shape = latent_shape(pipeline)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
