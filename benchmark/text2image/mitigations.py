"""Ways to keep a prompt from reproducing its training image: change words, embeddings, guidance or attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmark.text2image.attention import cross_attention
from benchmark.text2image.guided import (
    GuidanceScale,
    ddim_scheduler,
    embed,
    embed_with_empty,
    guidance_norms,
    prepend_empty,
    prompt_noise,
)
from benchmark.text2image.significance import guidance_at
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmark.core.types import Array

BOOST = 1.25
"""Factor of the first token's attention logit (Ren et al. 2024, 2403.11052)."""
NOISE = 0.1
"""Standard deviation of the noise on the embeddings (Somepalli et al. 2023, 2305.20086)."""
RATE, MOST_STEPS, NOISES = 0.05, 10, 4
"""Learning rate, largest number of steps, and noises of the optimised embedding (Wen et al. 2024, 2407.21720)."""

Rewrite = Callable[[str, Any, "Generator"], str]


@dataclass(frozen=True, kw_only=True)
class MitigationSettings:
    """How a prompt is sampled, and the settings of the mitigations."""

    steps: int
    guidance: float
    marker: str
    """Regular expression of de-identification markers."""
    insertions: int
    """Number of words or numbers that are inserted."""
    target: float
    """The optimisation of an embedding ends where the mean norm of the first step is at most this."""


@dataclass(frozen=True)
class Mitigation:
    """A way to sample a prompt; a field of None, 0 or False changes nothing."""

    source: str
    """Publication."""
    rewrite: Rewrite | None = None
    """Inserts one word or number into a prompt."""
    noise: float = 0.0
    """Standard deviation of noise on the embeddings."""
    optimise: bool = False
    """Replace the embedding by an optimised one."""
    delay: float | None = None
    """Scale of the guidance until its norm's first local minimum, as a multiple of the usual scale."""
    rescale: bool = False
    """Rescale cross-attention."""


def _inserted(prompt: str, insertion: str, rng: Generator) -> str:
    words = prompt.split()
    words.insert(int(rng.integers(len(words) + 1)), insertion)
    return " ".join(words)


def _number(prompt: str, tokenizer: Any, rng: Generator) -> str:
    return _inserted(prompt, str(rng.integers(100_000)), rng)


def _word(prompt: str, tokenizer: Any, rng: Generator) -> str:
    """Insert a random token of the tokenizer's own vocabulary; the published code assumes one vocabulary size."""
    return _inserted(prompt, tokenizer.decode([int(rng.integers(tokenizer.vocab_size))]).strip(), rng)


def _repeat(prompt: str, tokenizer: Any, rng: Generator) -> str:
    words = prompt.split() or [""]
    return _inserted(prompt, words[int(rng.integers(len(words)))], rng)


NO_MARKER = "no marker"
MITIGATIONS = {
    "random number": Mitigation("Somepalli et al. 2023", rewrite=_number),
    "random word": Mitigation("Somepalli et al. 2023", rewrite=_word),
    "repeated word": Mitigation("Somepalli et al. 2023", rewrite=_repeat),
    NO_MARKER: Mitigation("Dutt 2025"),
    "embedding noise": Mitigation("Somepalli et al. 2023", noise=NOISE),
    "embedding optimised": Mitigation("Wen et al. 2024", optimise=True),
    "guidance delayed": Mitigation("Jain et al. 2025", delay=0.0),
    "guidance opposite": Mitigation("Jain et al. 2025", delay=-1.0),
    "attention rescaled": Mitigation("Ren et al. 2024", rescale=True),
}
UNCHANGED = Mitigation("none")


def changes_prompt(name: str, prompt: str, settings: MitigationSettings) -> bool:
    """Return whether a mitigation changes a prompt: removing markers changes only prompts that have one."""
    return name != NO_MARKER or re.search(settings.marker, prompt) is not None


def without_markers(prompt: str, marker: str) -> str:
    """Return a prompt without its de-identification markers."""
    return " ".join(re.sub(marker, " ", prompt).split())


def rewritten(name: str, prompt: str, seed: int, settings: MitigationSettings, tokenizer: Any) -> str:
    """Return the prompt as a mitigation rewrites it; the random choice depends on prompt, name and seed only."""
    if name == NO_MARKER:
        return without_markers(prompt, settings.marker)
    rewrite = MITIGATIONS[name].rewrite if name in MITIGATIONS else None
    if rewrite is None:
        return prompt
    rng = np.random.default_rng([seed, *f"{name}/{prompt}".encode()])
    for _ in range(settings.insertions):
        prompt = rewrite(prompt, tokenizer, rng)
    return prompt


def sampler(
    pipeline: Any, name: str, prompt: str, settings: MitigationSettings
) -> Callable[[Sequence[int]], tuple[Array, Tensor]]:
    """Return a function that samples one prompt with a mitigation (without, for any other name) for N seeds.

    It returns the norms (N, steps) and the last latents (N, *latent). The noise is that of the original prompt, so that
    sampling with and without differs by the mitigation alone.
    """
    embedding = optimised(pipeline, prompt, settings) if MITIGATIONS.get(name, UNCHANGED).optimise else None
    return partial(_sample, pipeline, name, prompt, settings, embedding)


def _sample(
    pipeline: Any, name: str, prompt: str, settings: MitigationSettings, embedding: Tensor | None, seeds: Sequence[int]
) -> tuple[Array, Tensor]:
    mitigation = MITIGATIONS.get(name, UNCHANGED)
    texts = [rewritten(name, prompt, seed, settings, pipeline.tokenizer) for seed in seeds]
    noise = prompt_noise(pipeline, [prompt] * len(seeds), seeds)
    with torch.no_grad():
        embeddings = embed(pipeline, texts) if embedding is None else embedding.expand(len(seeds), -1, -1)
        if mitigation.noise:
            embeddings = embeddings + mitigation.noise * _noise_like(embeddings, seeds)
        text = prepend_empty(pipeline, embeddings)
    padding = ~tokenized(pipeline.tokenizer, texts)[1].bool().to(text.device)
    attention: Any = cross_attention(pipeline, boost=BOOST, padding=padding) if mitigation.rescale else nullcontext()
    scale: GuidanceScale = settings.guidance if mitigation.delay is None else delayed(settings, mitigation.delay)
    with attention:
        return guidance_norms(pipeline, text, noise, steps=settings.steps, guidance=scale)


def delayed(settings: MitigationSettings, before: float) -> GuidanceScale:
    """Return a scale that is `before` times the usual one until the norm's first local minimum, or half of the steps.

    Jain et al. (2025, 2411.16738): early guidance draws the trajectory of a memorised prompt towards its image; the
    minimum is where it has left that basin of attraction. Their dynamic transition point, with the fixed one as the
    latest.
    """

    def scale(number: int, norms: Tensor) -> Tensor:
        usual = torch.full_like(norms[:, 0], settings.guidance)
        if number >= settings.steps // 2:
            return usual
        inner = norms[:, 1:-1]
        # A local minimum at step k is known one step later: norms[k - 1] >= norms[k] < norms[k + 1].
        passed = ((inner <= norms[:, :-2]) & (inner < norms[:, 2:])).any(dim=1)
        return torch.where(passed, usual, before * usual)

    return scale


def optimised(pipeline: Any, prompt: str, settings: MitigationSettings) -> Tensor:
    """Return an embedding of a prompt, (1, tokens, D), with weak guidance in the first step.

    Wen et al. (2024, 2407.21720): AdamW, at most ten steps, on the mean norm over the prompt's first four noises,
    whatever is sampled afterwards. One embedding serves all noises, and the first token gets no gradient, as published.
    Weight decay changes that token in the published code; here it is 0, so that the token stays.
    """
    noise = prompt_noise(pipeline, [prompt] * NOISES, range(NOISES))
    scheduler = ddim_scheduler(pipeline, settings.steps)
    timestep = scheduler.timesteps[0]
    latents = (noise * scheduler.init_noise_sigma).to(pipeline.unet.device, pipeline.unet.dtype)
    unconditional, conditional = embed_with_empty(pipeline, [prompt] * NOISES).chunk(2)
    embedding = conditional[:1].clone().requires_grad_()
    optimizer = torch.optim.AdamW([embedding], lr=RATE, weight_decay=0)
    for _ in range(MOST_STEPS):
        with torch.enable_grad():
            both = torch.cat([unconditional, embedding.expand_as(conditional)])
            value = guidance_at(pipeline, both, latents, timestep, scheduler).flatten(1).norm(dim=1).mean()
            if value.item() <= settings.target:
                break
            (embedding.grad,) = torch.autograd.grad(value, embedding)
        embedding.grad[:, 0] = 0  # the start token, which every prompt has
        optimizer.step()
    return embedding.detach()


def _noise_like(values: Tensor, seeds: Sequence[int]) -> Tensor:
    rows = [torch.randn(values.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(values)
