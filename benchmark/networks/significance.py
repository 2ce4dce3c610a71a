"""Which tokens of a prompt move the guidance: gradients of its norm on the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.networks.guided import as_noise, both_texts, ddim, prompt_noise, trajectory

if TYPE_CHECKING:
    from benchmark.contracts import Array


def token_significance(
    pipeline: Any, prompt: str, seeds: Sequence[int], *, steps: int, guidance: float, faithful: bool = False
) -> Array:
    """Return the mean over steps of the length of d norm / d embedding of each token, (tokens,), float64.

    Args:
        pipeline: of Stable Diffusion's kind.
        prompt: one text.
        seeds: N noises.
        steps: of DDIM sampling.
        guidance: scale of the trajectory.
        faithful: as the code behind Dutt (2025, 2502.07516) does, which is that of Wen et al. (2024): one norm over
            the whole batch, the mean of its gradient over the 2N rows of both branches, and a trajectory guided away
            from the prompt, because the branches are swapped. Otherwise a gradient for each image, whose lengths are
            averaged, along the usual trajectory.
    """
    prompts = [prompt] * len(seeds)
    text, noise = both_texts(pipeline, prompts), prompt_noise(pipeline, prompts, seeds)
    scale = 1 - guidance if faithful else guidance
    total = torch.zeros(text.shape[1], dtype=torch.float64)
    scheduler = ddim(pipeline, steps)
    for step in trajectory(pipeline, text, noise, steps=steps, scale=scale):
        gradient = _gradient(pipeline, text, step.before, step.time, scheduler, faithful).double().cpu()
        if faithful:
            total += gradient.mean(dim=0).norm(dim=-1)
        else:
            total += gradient.chunk(2)[1].norm(dim=-1).mean(dim=0)
    found: Array = (total / steps).numpy()
    return found


def _gradient(pipeline: Any, text: Tensor, latents: Tensor, time: Tensor, scheduler: Any, whole: bool) -> Tensor:
    """Return d / d text of the norm over the whole batch, or of the sum of each image's norm, (2N, tokens, D)."""
    with torch.enable_grad():
        leaf = text.detach().requires_grad_()
        norms = guidance_at(pipeline, leaf, latents, time, scheduler).flatten(1)
        value = norms.norm() if whole else norms.norm(dim=1).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
    return gradient


def guidance_at(pipeline: Any, text: Tensor, latents: Tensor, time: Tensor, scheduler: Any) -> Tensor:
    """Return eps(x_t, prompt) - eps(x_t, empty) at one time, (N, *latent), float32, with its gradient."""
    both = scheduler.scale_model_input(torch.cat([latents, latents]), time)
    empty, given = pipeline.unet(both, time, encoder_hidden_states=text).sample.float().chunk(2)
    return as_noise(given - empty, scheduler, time)
