"""What all detectors of memorised prompts need, from one sampling run: norms, attention, anisotropy, small images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.text2image.attention import cross_attention, entropy
from benchmark.text2image.guided import (
    as_noise,
    ddim_scheduler,
    decode_images,
    embed_with_empty,
    guidance_norms,
    guidance_of,
    prompt_noise,
    trajectory,
)
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from benchmark.core.types import Array

THUMB = 16
"""Side, in pixels, of the small images by which seeds are compared."""
FIRST_LAYER = 3
"""Index of the cross-attention layer whose entropy in the first step is a detector (Ren et al. 2024, 2403.11052)."""
SPACING = 50
"""Number of DDIM steps whose first and last timesteps are the high and the low noise level of the anisotropy."""
WEIGHTS = (1.0, 2.0)
"""Weights of norm and cosine in the anisotropy, for Stable Diffusion 1 (Asthana et al. 2026, 2601.20642)."""


@dataclass(frozen=True)
class Trace:
    """What sampling N pairs of prompt and seed gives; all float32."""

    norms: Array
    """(N, steps), of the guidance."""
    latents: Tensor
    """After the last step, (N, *latent)."""
    further: Array | None = None
    """(N, 3): entropy of the first step, entropy of the last steps, anisotropy."""
    thumbs: Array | None = None
    """Small images, (N, C * 16 * 16) in [-1, 1]."""


def trace(
    pipeline: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    further: bool,
    only: int | None = None,
) -> Trace:
    """Sample N prompts with a seed each, as `guidance_norms`; `further` also records attention and small images."""
    text, noise = embed_with_empty(pipeline, prompts), prompt_noise(pipeline, prompts, seeds)
    if not further:
        return Trace(*guidance_norms(pipeline, text, noise, steps=steps, guidance=guidance, only=only))
    padding = ~tokenized(pipeline.tokenizer, prompts)[1].bool().to(text.device)
    norms, entropies = [], _Entropies(padding, steps)
    with cross_attention(pipeline) as recorded:
        for step in trajectory(pipeline, text, noise, steps=steps, scale=guidance):
            norms.append(step.norms)
            entropies.take(step.number, torch.stack([probabilities.chunk(2)[1] for probabilities in recorded]))
            recorded.clear()
    norms_taken = torch.stack(norms, dim=1)
    # Where a prediction is not finite, the caller names its prompt; the autoencoder would only pass it on.
    latents = step.next_latents if norms_taken.isfinite().all() else torch.zeros_like(step.next_latents)
    small = F.interpolate(decode_images(pipeline, latents), size=THUMB, mode="area").flatten(1)
    columns = [entropies.first, entropies.last, anisotropy(pipeline, text, noise)]
    return Trace(
        norms_taken.cpu().numpy(),
        step.next_latents,
        torch.stack(columns, dim=1).cpu().numpy(),
        small.cpu().numpy(),
    )


class _Entropies:
    """The two detectors of Ren et al. (2024, 2403.11052), from attention averaged over heads and positions.

    They report that in the last steps attention gathers on the first token, while that of memorised prompts stays
    spread over the other tokens: its entropy is higher.
    """

    def __init__(self, padding: Tensor, steps: int) -> None:
        self.padding, self.steps = padding, steps
        self.last_steps = max(1, steps // 5)
        self.first = self.last = torch.zeros(0)

    def take(self, number: int, probabilities: Tensor) -> None:
        """Add the attention of a step, (layers, N, tokens).

        `first` is the entropy in one layer at the first step, (N,). `last` is the mean over layers and the last fifth
        of the steps of the entropy plus the change of the padding's share of it since the first step, (N,).
        """
        padding = entropy(probabilities * self.padding)
        if number == 0:
            self.first = entropy(probabilities[min(FIRST_LAYER, len(probabilities) - 1)])
            self.start, self.last = padding, torch.zeros_like(self.first)
        if number >= self.steps - self.last_steps:
            change = (padding - self.start).abs()
            self.last = self.last + (entropy(probabilities) + change).mean(dim=0) / self.last_steps


@torch.no_grad()
def anisotropy(pipeline: Any, text: Tensor, noise: Tensor) -> Tensor:
    """Return || guidance || at high noise + 2 cos(guidance, unguided prediction) at low noise, (N,).

    Both are computed for the same pure noise, in two calls of the U-Net and without sampling (Asthana et al. 2026,
    2601.20642, with the weights of Stable Diffusion 1).

    Args:
        pipeline: of Stable Diffusion's kind.
        text: (2N, tokens, D), as of `prepend_empty`.
        noise: (N, *latent).
    """
    scheduler = ddim_scheduler(pipeline, SPACING)
    latents = noise.to(pipeline.unet.device, pipeline.unet.dtype)
    both = torch.cat([latents, latents])

    def outputs(timestep: Tensor) -> tuple[Tensor, Tensor]:
        unconditional, conditional = pipeline.unet(both, timestep, encoder_hidden_states=text).sample.float().chunk(2)
        return unconditional, conditional

    high, low = scheduler.timesteps[0], scheduler.timesteps[-1]
    unconditional, conditional = outputs(high)
    norm = guidance_of(conditional - unconditional, scheduler, high).flatten(1).norm(dim=1)
    unconditional, conditional = outputs(low)
    guidance = guidance_of(conditional - unconditional, scheduler, low)
    unguided = predicted_noise(unconditional, latents, scheduler, low)
    cosine = F.cosine_similarity(guidance.flatten(1), unguided.flatten(1))
    score: Tensor = WEIGHTS[0] * norm + WEIGHTS[1] * cosine
    return score


def predicted_noise(output: Tensor, latents: Tensor, scheduler: Any, timestep: Tensor) -> Tensor:
    """Convert an output of the U-Net for x_t = latents into the noise that it implies, both (N, *latent).

    `as_noise` has the formulas; the term in x_t, which cancels in differences, is added here.
    """
    signal = scheduler.alphas_cumprod[int(timestep)].to(output.device)
    factors = {"v_prediction": (1 - signal).sqrt(), "sample": (1 / (1 - signal)).sqrt()}
    factor = factors.get(scheduler.config["prediction_type"], 0.0)
    noise: Tensor = as_noise(output, scheduler, timestep) + factor * latents.float()
    return noise
