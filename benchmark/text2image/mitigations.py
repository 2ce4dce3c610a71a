"""What may keep a prompt from bringing its training image back: changed words, embeddings, guidance, attention."""

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
from benchmark.text2image.guided import Scale, both_branches, both_texts, ddim, embed, guidance_norms, prompt_noise
from benchmark.text2image.significance import guidance_at
from benchmark.text2image.tokenizer import tokenized

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmark.core.types import Array

BOOST = 1.25
"""Of the first token's logit (Ren et al. 2024, 2403.11052)."""
NOISE = 0.1
"""On the embeddings (Somepalli et al. 2023, 2305.20086)."""
RATE, MOST, OPTIMISED_ON = 0.05, 10, 4
"""Of the embeddings' optimisation: learning rate, steps and noises (Wen et al. 2024, 2407.21720)."""

Rewrite = Callable[[str, Any, "Generator"], str]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a mitigated prompt is sampled."""

    steps: int
    guidance: float
    marker: str
    """Regular expression of de-identification marks."""
    insertions: int
    """Words or numbers that are added."""
    target: float
    """Of the embeddings' optimisation: it ends where the mean norm of the first step is no greater."""


@dataclass(frozen=True)
class Mitigation:
    """A way to sample a prompt; what is None stays as it was."""

    source: str
    rewrite: Rewrite | None = None
    noise: float = 0.0
    optimise: bool = False
    delay: float | None = None
    """Scale of the guidance until its norm's first local minimum, as a multiple of the usual one."""
    rescale: bool = False


def _inserted(prompt: str, what: str, rng: Generator) -> str:
    words = prompt.split()
    words.insert(int(rng.integers(len(words) + 1)), what)
    return " ".join(words)


def _number(prompt: str, tokenizer: Any, rng: Generator) -> str:
    return _inserted(prompt, str(rng.integers(100_000)), rng)


def _word(prompt: str, tokenizer: Any, rng: Generator) -> str:
    """Insert a random piece of the vocabulary: bounded by the tokenizer's own, unlike the published code."""
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
NOTHING = Mitigation("as it is")


def changes(name: str, prompt: str, how: Sampling) -> bool:
    """Return whether a mitigation does anything to a prompt: removing marks changes only those that have one."""
    return name != NO_MARKER or re.search(how.marker, prompt) is not None


def without_markers(prompt: str, marker: str) -> str:
    """Return a prompt without its de-identification marks."""
    return " ".join(re.sub(marker, " ", prompt).split())


def rewritten(name: str, prompt: str, seed: int, how: Sampling, tokenizer: Any) -> str:
    """Return what a mitigation makes of a prompt's words; the draw follows from prompt, name and seed alone."""
    if name == NO_MARKER:
        return without_markers(prompt, how.marker)
    rewrite = MITIGATIONS[name].rewrite if name in MITIGATIONS else None
    if rewrite is None:
        return prompt
    rng = np.random.default_rng([seed, *f"{name}/{prompt}".encode()])
    for _ in range(how.insertions):
        prompt = rewrite(prompt, tokenizer, rng)
    return prompt


def sampler(pipeline: Any, name: str, prompt: str, how: Sampling) -> Callable[[Sequence[int]], tuple[Array, Tensor]]:
    """Return what samples one prompt with a mitigation (any other name: without), for some seeds at a time.

    It returns norms (N, steps) and the last latents. The noise is that of the prompt as it was, so that before and
    after differ by the mitigation alone.
    """
    moved = optimised(pipeline, prompt, how) if MITIGATIONS.get(name, NOTHING).optimise else None
    return partial(_sample, pipeline, name, prompt, how, moved)


def _sample(
    pipeline: Any, name: str, prompt: str, how: Sampling, moved: Tensor | None, seeds: Sequence[int]
) -> tuple[Array, Tensor]:
    chosen = MITIGATIONS.get(name, NOTHING)
    texts = [rewritten(name, prompt, seed, how, pipeline.tokenizer) for seed in seeds]
    noise = prompt_noise(pipeline, [prompt] * len(seeds), seeds)
    with torch.no_grad():
        given = embed(pipeline, texts) if moved is None else moved.expand(len(seeds), -1, -1)
        if chosen.noise:
            given = given + chosen.noise * _like(given, seeds)
        text = both_branches(pipeline, given)
    padding = ~tokenized(pipeline.tokenizer, texts)[1].bool().to(text.device)
    watching: Any = cross_attention(pipeline, boost=BOOST, padding=padding) if chosen.rescale else nullcontext()
    scale: Scale = how.guidance if chosen.delay is None else delayed(how, chosen.delay)
    with watching:
        return guidance_norms(pipeline, text, noise, steps=how.steps, guidance=scale)


def delayed(how: Sampling, before: float) -> Scale:
    """Return a scale that is `before` times the usual one until the norm's first local minimum, or half of the steps.

    Jain et al. (2025, 2411.16738): the dynamic transition point, with their fixed one as the latest.
    """

    def scale(number: int, norms: Tensor) -> Tensor:
        usual = torch.full_like(norms[:, 0], how.guidance)
        if number >= how.steps // 2:
            return usual
        inner = norms[:, 1:-1]
        passed = ((inner <= norms[:, :-2]) & (inner < norms[:, 2:])).any(dim=1)
        return torch.where(passed, usual, before * usual)

    return scale


def optimised(pipeline: Any, prompt: str, how: Sampling) -> Tensor:
    """Move a prompt's embedding until the guidance of the first step is weak (Wen et al. 2024, 2407.21720).

    AdamW, ten steps at most, on the prompt's first four noises, whatever is sampled afterwards. One embedding, (1,
    tokens, D), serves all noises and the first token gets no gradient, as published; there weight decay moves it all
    the same, here nothing does.
    """
    noise = prompt_noise(pipeline, [prompt] * OPTIMISED_ON, range(OPTIMISED_ON))
    scheduler = ddim(pipeline, how.steps)
    time = scheduler.timesteps[0]
    latents = (noise * scheduler.init_noise_sigma).to(pipeline.unet.device, pipeline.unet.dtype)
    empty, given = both_texts(pipeline, [prompt] * OPTIMISED_ON).chunk(2)
    moved = given[:1].clone().requires_grad_()
    optimizer = torch.optim.AdamW([moved], lr=RATE, weight_decay=0)
    for _ in range(MOST):
        with torch.enable_grad():
            both = torch.cat([empty, moved.expand_as(given)])
            value = guidance_at(pipeline, both, latents, time, scheduler).flatten(1).norm(dim=1).mean()
            if value.item() <= how.target:
                break
            (moved.grad,) = torch.autograd.grad(value, moved)
        moved.grad[:, 0] = 0
        optimizer.step()
    return moved.detach()


def _like(values: Tensor, seeds: Sequence[int]) -> Tensor:
    rows = [torch.randn(values.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(values)
