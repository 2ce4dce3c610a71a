"""Which tokens of a prompt move the guidance: gradients of its norm on the embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.core.types import chunks
from benchmark.text2image.guided import Step, as_noise, both_texts, ddim, prompt_noise, trajectory

if TYPE_CHECKING:
    from benchmark.core.types import Array

TINY = 1e-30
"""In place of no guidance at all, whose gradient is nothing too."""


def token_significance(
    pipeline: Any,
    prompt: str,
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    faithful: bool = False,
    batch: int = 16,
    only: int | None = None,
) -> Array:
    """Return the mean over steps of the length of d norm / d embedding of each token, (tokens,), float64.

    Args:
        pipeline: of Stable Diffusion's kind.
        prompt: one text.
        seeds: N noises.
        steps: of DDIM sampling.
        guidance: scale of the trajectory.
        faithful: as the code behind Dutt (2025, 2502.07516) does, which is that of Wen et al. (2024). One norm over all
            N images, and of its gradient the sum over images; lengths are divided by 2N, because the mean is over rows
            of both branches of which one is not nothing; the trajectory is guided away from the prompt, because the
            branches are swapped. Otherwise a gradient for each image, whose lengths are averaged, along the usual one.
        batch: noises at once.
        only: stop after so many steps.
    """
    taken = _gradients(pipeline, prompt, seeds, steps, 1 - guidance if faithful else guidance, faithful, batch, only)
    sums: dict[int, Tensor] = {}
    squares: dict[int, float] = {}
    for number, gradients, square in taken:
        rows = gradients if faithful else gradients.norm(dim=-1)
        sums[number] = sums.get(number, 0) + rows.sum(dim=0)
        squares[number] = squares.get(number, 0) + square
    if faithful:  # of the root of a sum of squares: half of the squares' gradient, over the root
        lengths = [sums[number].norm(dim=-1) / max(squares[number], TINY) ** 0.5 / 2 for number in sums]
    else:
        lengths = list(sums.values())
    found: Array = (torch.stack(lengths).mean(dim=0) / len(seeds)).numpy()
    return found


def _gradients(
    pipeline: Any,
    prompt: str,
    seeds: Sequence[int],
    steps: int,
    scale: float,
    squared: bool,
    batch: int,
    only: int | None,
) -> Iterator[tuple[int, Tensor, float]]:
    """Yield, a batch and step, its number, each image's gradient (n, tokens, D), and the sum of squared norms."""
    scheduler = ddim(pipeline, steps)
    for part in chunks(len(seeds), batch):
        prompts = [prompt] * len(seeds[part])
        text, noise = both_texts(pipeline, prompts), prompt_noise(pipeline, prompts, seeds[part])
        for step in islice(trajectory(pipeline, text, noise, steps=steps, scale=scale), only):
            gradient = _gradient(pipeline, text, step, scheduler, squared)
            yield step.number, gradient.double().cpu(), float(step.norms.double().square().sum())


def _gradient(pipeline: Any, text: Tensor, step: Step, scheduler: Any, squared: bool) -> Tensor:
    """Return d / d embedding of each image's norm, or of half of its square, (N, tokens, D)."""
    empty, given = text.chunk(2)
    with torch.enable_grad():
        leaf = given.detach().requires_grad_()
        both = torch.cat([empty, leaf])
        norms = guidance_at(pipeline, both, step.before, step.time, scheduler).flatten(1).norm(dim=1)
        value = (norms.square() / 2 if squared else norms).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
    return gradient


def guidance_at(pipeline: Any, text: Tensor, latents: Tensor, time: Tensor, scheduler: Any) -> Tensor:
    """Return eps(x_t, prompt) - eps(x_t, empty) at one time, (N, *latent), float32, with its gradient."""
    both = scheduler.scale_model_input(torch.cat([latents, latents]), time)
    empty, given = pipeline.unet(both, time, encoder_hidden_states=text).sample.float().chunk(2)
    return as_noise(given - empty, scheduler, time)
