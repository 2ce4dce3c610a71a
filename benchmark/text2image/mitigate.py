"""The effect of each mitigation on memorised prompts: d_mem, copies, diversity of images, match of image and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.progress import progress
from benchmark.core.types import chunks
from benchmark.metrics.prompts import diversity, mean_norms
from benchmark.text2image.copy_oracle import CopyScorer
from benchmark.text2image.mitigations import MITIGATIONS, MitigationSettings, changes_prompt, sampler

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

BEFORE = "none"
"""Name of sampling without a mitigation."""
COLUMNS = (
    "mitigation", "source", "prompts", "d_mem", "likeness", "copied", "RMSE of seeds", "distance of seeds", "alignment",
)  # fmt: skip
Alignment = Callable[[str, "Images"], "Array"]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Means over the prompts that a mitigation changes; None where a quantity was not measured."""

    prompts: int
    d_mem: float | None
    likeness: float | None
    """Similarity of the images to the nearest training image."""
    copied: float | None
    """Share of images above the copy threshold."""
    rmse: float | None
    """Root mean squared difference between images of one prompt, in units of the range [0, 1]."""
    distance: float | None
    """Root mean squared difference between images of one prompt, in features of random convolutions."""
    alignment: float | None
    """Match of the images with the original prompt."""


MEASURED = ("d_mem", "likeness", "copied", "rmse", "distance", "alignment")


def effects(
    pipeline: Any,
    prompts: Sequence[str],
    settings: MitigationSettings,
    *,
    seeds: int,
    batch: int,
    copy_scorer: CopyScorer | None = None,
    align: Alignment | None = None,
    names: Sequence[str] = tuple(MITIGATIONS),
) -> dict[str, Effect]:
    """Return the effect of sampling without a mitigation (`none`) and with each, by name.

    A mitigation that does not change some of the prompts is measured on the others, and `none, NAME` is sampling
    without a mitigation for those same prompts.

    Args:
        pipeline: of Stable Diffusion's kind.
        prompts: those to protect.
        settings: steps, guidance, and those of the mitigations.
        seeds: images per prompt.
        batch: images at once.
        copy_scorer: maps images to their mean similarity to training images and the share of copies.
        align: maps a prompt and N images to how well each matches it, (N,).
        names: keys of `MITIGATIONS`.
    """
    parts: dict[str, dict[str, Effect]] = {}
    with progress("mitigations", (len(names) + 1) * len(prompts)) as advance:
        for name in (BEFORE, *names):
            parts[name] = {}
            for prompt in prompts:
                if changes_prompt(name, prompt, settings):
                    parts[name][prompt] = _effect(pipeline, name, prompt, settings, seeds, batch, copy_scorer, align)
                advance(note=name)
    means = {}
    for name, by_prompt in parts.items():
        if 0 < len(by_prompt) < len(parts[BEFORE]):
            means[f"{BEFORE}, {name}"] = _mean([parts[BEFORE][prompt] for prompt in by_prompt])
        means[name] = _mean(list(by_prompt.values()))
    return means


def _effect(
    pipeline: Any,
    name: str,
    prompt: str,
    settings: MitigationSettings,
    seeds: int,
    batch: int,
    copy_scorer: CopyScorer | None,
    align: Alignment | None,
) -> Effect:
    from benchmark.detectors.random_conv import random_features
    from benchmark.text2image.guided import blind_steps, decode_images

    norms, images, sample = [], [], sampler(pipeline, name, prompt, settings)
    for part in chunks(seeds, batch):
        part_norms, latents = sample(range(part.start, part.stop))
        norms.append(part_norms)
        images.append(decode_images(pipeline, latents).cpu().numpy())
    generated = np.concatenate(images)
    likeness, copied = copy_scorer(generated) if copy_scorer else (None, None)
    return Effect(
        prompts=1,
        d_mem=float(mean_norms(np.concatenate(norms), blind_steps(pipeline, settings.steps)).mean()),
        likeness=likeness,
        copied=copied,
        rmse=diversity(generated) / 2,  # the range [-1, 1] is twice as wide as [0, 1]
        distance=diversity(random_features(generated, device="cpu")),
        alignment=float(align(prompt, generated).mean()) if align else None,
    )


def _mean(effects: Sequence[Effect]) -> Effect:
    """Return the mean over prompts of each quantity; None where it was measured for no prompt."""
    means: dict[str, Any] = {}
    for key in MEASURED:
        values = [value for effect in effects if (value := getattr(effect, key)) is not None]
        means[key] = float(np.mean(values)) if values else None
    return Effect(prompts=len(effects), **means)


def rows(effects_by_name: dict[str, Effect]) -> list[tuple[str, ...]]:
    """Return one row per mitigation for a table with `COLUMNS`."""
    return [
        (
            name,
            MITIGATIONS[name].source if name in MITIGATIONS else "",
            str(effect.prompts),
            *(_cell(getattr(effect, key)) for key in MEASURED),
        )
        for name, effect in effects_by_name.items()
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
