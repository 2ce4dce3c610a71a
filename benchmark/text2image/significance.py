"""Which tokens of a prompt drive the guidance: gradients of its norm by the embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.core.types import chunks
from benchmark.text2image.guided import (
    DenoisingStep,
    blind_steps,
    ddim_scheduler,
    embed_with_empty,
    guidance_of,
    prompt_noise,
    trajectory,
)

if TYPE_CHECKING:
    from benchmark.core.types import Array

TINY = 1e-30
"""In place of a squared norm of 0, whose gradient is 0 too: 0 / TINY is then 0, not NaN."""


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
    """Return the mean over steps of || d norm / d embedding ||_2 of each token, (tokens,), float64.

    A small change of a token with a long gradient moves the guidance far: Wen et al. (2024, 2407.21720) so find the
    words that trigger a memorised image.

    Args:
        pipeline: of Stable Diffusion's kind.
        prompt: one text.
        seeds: N noises.
        steps: of DDIM sampling.
        guidance: scale of the guidance along the trajectory.
        faithful: compute what the code of Dutt (2025, 2502.07516) and Wen et al. (2024) computes: one norm over all N
            images, with the sum of its gradient over images; lengths divided by 2N, as the mean is over the rows of
            both branches, of which the unconditional ones are 0; a trajectory guided away from the prompt, as the
            branches are swapped. Otherwise the lengths of one gradient per image are averaged, along the usual
            trajectory.
        batch: noises at once.
        only: stop after so many steps.
    """
    gradients_by_step = _gradients(
        pipeline, prompt, seeds, steps, 1 - guidance if faithful else guidance, faithful, batch, only
    )
    sums: dict[int, Tensor] = {}
    squares: dict[int, float] = {}
    for number, gradients, square in gradients_by_step:
        rows = gradients if faithful else gradients.norm(dim=-1)
        sums[number] = sums.get(number, 0) + rows.sum(dim=0)
        squares[number] = squares.get(number, 0) + square
    blind = blind_steps(pipeline, steps)
    if len(sums) > blind:  # the gradient at zero SNR is of another quantity, and alone where it is the only step
        sums = {number: rows for number, rows in sums.items() if number >= blind}
    if faithful:  # d sqrt(s) = d s / (2 sqrt(s)) with s the sum of squared norms; `rows` are of s / 2, over 2 rows
        lengths = [sums[number].norm(dim=-1) / max(squares[number], TINY) ** 0.5 / 2 for number in sums]
    else:
        lengths = list(sums.values())
    significance: Array = (torch.stack(lengths).mean(dim=0) / len(seeds)).numpy()
    return significance


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
    """Yield per batch and step: the step's number, gradients (n, tokens, D), and the sum of squared norms."""
    scheduler = ddim_scheduler(pipeline, steps)
    for part in chunks(len(seeds), batch):
        prompts = [prompt] * len(seeds[part])
        text, noise = embed_with_empty(pipeline, prompts), prompt_noise(pipeline, prompts, seeds[part])
        for step in islice(trajectory(pipeline, text, noise, steps=steps, scale=scale), only):
            gradient = _gradient(pipeline, text, step, scheduler, squared)
            yield step.number, gradient.double().cpu(), float(step.norms.double().square().sum())


def _gradient(pipeline: Any, text: Tensor, step: DenoisingStep, scheduler: Any, squared: bool) -> Tensor:
    """Return the gradient of each image's norm, or of half of its square, by the embeddings, (N, tokens, D).

    The norm of one image does not depend on the embedding of another: the gradient of their sum has each image's own.
    """
    unconditional, conditional = text.chunk(2)
    with torch.enable_grad():
        leaf = conditional.detach().requires_grad_()
        both = torch.cat([unconditional, leaf])
        norms = guidance_at(pipeline, both, step.latents, step.timestep, scheduler).flatten(1).norm(dim=1)
        value = (norms.square() / 2 if squared else norms).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
    return gradient


def guidance_at(pipeline: Any, text: Tensor, latents: Tensor, timestep: Tensor, scheduler: Any) -> Tensor:
    """Return eps(x_t, prompt) - eps(x_t, empty), at zero SNR `guidance_of`, (N, *latent), float32, with its gradient.

    Args:
        pipeline: of Stable Diffusion's kind.
        text: (2N, tokens, D), empty prompts first, as of `prepend_empty`.
        latents: x_t, (N, *latent).
        timestep: one of the scheduler's.
        scheduler: with the noise schedule of the pipeline.
    """
    both = scheduler.scale_model_input(torch.cat([latents, latents]), timestep)
    unconditional, conditional = pipeline.unet(both, timestep, encoder_hidden_states=text).sample.float().chunk(2)
    return guidance_of(conditional - unconditional, scheduler, timestep)
