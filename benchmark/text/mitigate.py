"""What each mitigation does to memorised prompts: d_mem, likeness to training images, diversity, text alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.contracts import chunks
from benchmark.metrics.prompts import diversity
from benchmark.progress import progress
from benchmark.text.mitigations import MITIGATIONS, Sampling, sample_mitigated
from benchmark.text.truth import Judge

if TYPE_CHECKING:
    from benchmark.contracts import Array, Images

BEFORE = "none"
COLUMNS = ("mitigation", "source", "d_mem", "likeness", "copied", "RMSE of seeds", "distance of seeds", "alignment")
Alignment = Callable[[str, "Images"], "Array"]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Means over prompts; what could not be measured is None."""

    d_mem: float
    likeness: float | None
    """Similarity to the nearest training image."""
    copied: float | None
    """Share of images above the copy threshold."""
    rmse: float
    """Between images of one prompt, in units of the range [0, 1]."""
    distance: float
    """Between images of one prompt, in the features of the random convolutions."""
    alignment: float | None
    """Of the images with the prompt as it was."""


def effects(
    pipeline: Any,
    prompts: Sequence[str],
    how: Sampling,
    *,
    seeds: int,
    batch: int,
    judge: Judge | None = None,
    align: Alignment | None = None,
    names: Sequence[str] = tuple(MITIGATIONS),
) -> dict[str, Effect]:
    """Return the effect of sampling without a mitigation (`none`) and with each, by name.

    Args:
        pipeline: of Stable Diffusion's kind.
        prompts: those to protect.
        how: of sampling.
        seeds: images a prompt.
        batch: of them at once.
        judge: returns mean likeness to training images and the share of copies.
        align: returns how well images fit a text, one number an image.
        names: of `MITIGATIONS`.
    """
    found = {}
    with progress("mitigations", (len(names) + 1) * len(prompts)) as advance:
        for name in (BEFORE, *names):
            parts = []
            for prompt in prompts:
                parts.append(_effect(pipeline, name, prompt, how, seeds, batch, judge, align))
                advance(note=name)
            found[name] = Effect(**{key: _mean([getattr(part, key) for part in parts]) for key in vars(parts[0])})
    return found


def _effect(
    pipeline: Any,
    name: str,
    prompt: str,
    how: Sampling,
    seeds: int,
    batch: int,
    judge: Judge | None,
    align: Alignment | None,
) -> Effect:
    from benchmark.detectors.random_conv import random_features
    from benchmark.networks.guided import decode

    norms, images = [], []
    for part in chunks(seeds, batch):
        some, latents = sample_mitigated(pipeline, name, prompt, range(part.start, part.stop), how)
        norms.append(some)
        images.append(decode(pipeline, latents).clamp(-1, 1).cpu().numpy())
    made = np.concatenate(images)
    likeness, copied = judge(made) if judge else (None, None)
    return Effect(
        d_mem=float(np.concatenate(norms).mean()),
        likeness=likeness,
        copied=copied,
        rmse=diversity(made) / 2,
        distance=diversity(random_features(made, device="cpu")),
        alignment=float(align(prompt, made).mean()) if align else None,
    )


def _mean(values: Sequence[float | None]) -> Any:
    return None if values[0] is None else float(np.mean([value for value in values if value is not None]))


def rows(found: dict[str, Effect]) -> list[tuple[str, ...]]:
    """Return (mitigation, source, d_mem, likeness, copied, rmse, distance, alignment) rows for a table."""
    return [
        (name, MITIGATIONS[name].source if name in MITIGATIONS else "", *map(_cell, vars(effect).values()))
        for name, effect in found.items()
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
