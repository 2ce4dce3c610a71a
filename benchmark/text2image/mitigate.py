"""What each mitigation does to memorised prompts: d_mem, likeness to training images, diversity, text alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.progress import progress
from benchmark.core.types import chunks
from benchmark.metrics.prompts import diversity
from benchmark.text2image.copy_oracle import Judge
from benchmark.text2image.mitigations import MITIGATIONS, Sampling, changes, sampler

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

BEFORE = "none"
COLUMNS = (
    "mitigation", "source", "prompts", "d_mem", "likeness", "copied", "RMSE of seeds", "distance of seeds", "alignment",
)  # fmt: skip
Alignment = Callable[[str, "Images"], "Array"]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Means over the prompts that a mitigation changes; what could not be measured is None."""

    prompts: int
    d_mem: float | None
    likeness: float | None
    """Similarity to the nearest training image."""
    copied: float | None
    """Share of images above the copy threshold."""
    rmse: float | None
    """Between images of one prompt, in units of the range [0, 1]."""
    distance: float | None
    """Between images of one prompt, in the features of the random convolutions."""
    alignment: float | None
    """Of the images with the prompt as it was."""


MEASURED = ("d_mem", "likeness", "copied", "rmse", "distance", "alignment")


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

    A mitigation that leaves some of the prompts as they are is measured on the others, and so is `none, NAME` for it.

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
    parts: dict[str, dict[str, Effect]] = {}
    with progress("mitigations", (len(names) + 1) * len(prompts)) as advance:
        for name in (BEFORE, *names):
            parts[name] = {}
            for prompt in prompts:
                if changes(name, prompt, how):
                    parts[name][prompt] = _effect(pipeline, name, prompt, how, seeds, batch, judge, align)
                advance(note=name)
    found = {}
    for name, of in parts.items():
        if 0 < len(of) < len(parts[BEFORE]):
            found[f"{BEFORE}, {name}"] = _mean([parts[BEFORE][prompt] for prompt in of])
        found[name] = _mean(list(of.values()))
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
    from benchmark.text2image.guided import decode

    norms, images, sample = [], [], sampler(pipeline, name, prompt, how)
    for part in chunks(seeds, batch):
        some, latents = sample(range(part.start, part.stop))
        norms.append(some)
        images.append(decode(pipeline, latents).clamp(-1, 1).cpu().numpy())
    made = np.concatenate(images)
    likeness, copied = judge(made) if judge else (None, None)
    return Effect(
        prompts=1,
        d_mem=float(np.concatenate(norms).mean()),
        likeness=likeness,
        copied=copied,
        rmse=diversity(made) / 2,
        distance=diversity(random_features(made, device="cpu")),
        alignment=float(align(prompt, made).mean()) if align else None,
    )


def _mean(effects: Sequence[Effect]) -> Effect:
    """Return the mean over prompts of what was measured; of no prompt, nothing."""
    found: dict[str, Any] = {}
    for key in MEASURED:
        values = [value for effect in effects if (value := getattr(effect, key)) is not None]
        found[key] = float(np.mean(values)) if values else None
    return Effect(prompts=len(effects), **found)


def rows(found: dict[str, Effect]) -> list[tuple[str, ...]]:
    """Return rows for a table, as `COLUMNS`."""
    return [
        (
            name,
            MITIGATIONS[name].source if name in MITIGATIONS else "",
            str(effect.prompts),
            *(_cell(getattr(effect, key)) for key in MEASURED),
        )
        for name, effect in found.items()
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
