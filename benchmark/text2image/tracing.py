"""One pass over prompts that leaves all that their detectors need: norms, attention, anisotropy, small images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.text2image.attention import cross_attention, entropy
from benchmark.text2image.guided import as_noise, both_texts, ddim, decode, guidance_norms, prompt_noise, trajectory
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from benchmark.core.types import Array

THUMB = 16
"""Pixels a side of the small images that seeds are compared by."""
FIRST_LAYER = 3
"""The cross-attention layer whose entropy of the first step is a detector (Ren et al. 2024)."""
SPACING = 50
"""DDIM steps, whose first and last noise levels are the high and the low one of the anisotropy."""
WEIGHTS = (1.0, 2.0)
"""Of the norm and of the cosine in the anisotropy of Stable Diffusion 1 (Asthana et al. 2026, 2601.20642)."""


@dataclass(frozen=True)
class Trace:
    """What one pass says of N pairs of prompt and seed; all float32."""

    norms: Array
    """(N, steps)."""
    latents: Tensor
    """Those after the last step, (N, *latent)."""
    further: Array | None = None
    """(N, 3): entropy of the first step, entropy of the last steps, anisotropy."""
    thumbs: Array | None = None
    """(N, C * 16 * 16) in [-1, 1]."""


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
    """Follow guided sampling of each prompt with its seed, as `guidance_norms`; `further` watches attention too."""
    text, noise = both_texts(pipeline, prompts), prompt_noise(pipeline, prompts, seeds)
    if not further:
        return Trace(*guidance_norms(pipeline, text, noise, steps=steps, guidance=guidance, only=only))
    padding = ~tokenized(pipeline.tokenizer, prompts)[1].bool().to(text.device)
    norms, watched = [], _Entropies(padding, steps)
    with cross_attention(pipeline) as seen:
        for step in trajectory(pipeline, text, noise, steps=steps, scale=guidance):
            norms.append(step.norms)
            watched.take(step.number, torch.stack([shares.chunk(2)[1] for shares in seen]))
            seen.clear()
    small = F.interpolate(decode(pipeline, step.after).clamp(-1, 1), size=THUMB, mode="area").flatten(1)
    columns = [watched.first, watched.last, anisotropy(pipeline, text, noise)]
    return Trace(
        torch.stack(norms, dim=1).cpu().numpy(),
        step.after,
        torch.stack(columns, dim=1).cpu().numpy(),
        small.cpu().numpy(),
    )


class _Entropies:
    """The two detectors of Ren et al. (2024, 2403.11052), from attention averaged over heads and places."""

    def __init__(self, padding: Tensor, steps: int) -> None:
        self.padding, self.steps = padding, steps
        self.lasting = max(1, steps // 5)
        self.first = self.last = torch.zeros(0)

    def take(self, number: int, shares: Tensor) -> None:
        """Take (layers, N, tokens) of a step: `last` is the mean over its last fifth, with the padding's change."""
        padding = entropy(shares * self.padding)
        if number == 0:
            self.first = entropy(shares[min(FIRST_LAYER, len(shares) - 1)])
            self.start, self.last = padding, torch.zeros_like(self.first)
        if number >= self.steps - self.lasting:
            change = (padding - self.start).abs()
            self.last = self.last + (entropy(shares) + change).mean(dim=0) / self.lasting


@torch.no_grad()
def anisotropy(pipeline: Any, text: Tensor, noise: Tensor) -> Tensor:
    """Return norm at high noise + 2 cos(guidance, empty) at low noise, both of the same pure noise, (N,).

    Asthana et al. (2026, 2601.20642), with the weights of Stable Diffusion 1. `text` is as `both_branches` makes it.
    """
    scheduler = ddim(pipeline, SPACING)
    latents = noise.to(pipeline.unet.device, pipeline.unet.dtype)
    both = torch.cat([latents, latents])

    def outputs(time: Tensor) -> tuple[Tensor, Tensor]:
        empty, given = pipeline.unet(both, time, encoder_hidden_states=text).sample.float().chunk(2)
        return empty, given

    high, low = scheduler.timesteps[0], scheduler.timesteps[-1]
    empty, given = outputs(high)
    norm = as_noise(given - empty, scheduler, high).flatten(1).norm(dim=1)
    empty, given = outputs(low)
    guidance = as_noise(given - empty, scheduler, low)
    cosine = F.cosine_similarity(guidance.flatten(1), predicted_noise(empty, latents, scheduler, low).flatten(1))
    score: Tensor = WEIGHTS[0] * norm + WEIGHTS[1] * cosine
    return score


def predicted_noise(output: Tensor, latents: Tensor, scheduler: Any, time: Tensor) -> Tensor:
    """Return the noise that an output of the U-Net stands for, whatever kind it is of."""
    signal = scheduler.alphas_cumprod[int(time)].to(output.device)
    rest = {"v_prediction": (1 - signal).sqrt(), "sample": (1 / (1 - signal)).sqrt()}
    share = rest.get(scheduler.config["prediction_type"], 0.0)
    noise: Tensor = as_noise(output, scheduler, time) + share * latents.float()
    return noise
