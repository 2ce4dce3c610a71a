"""Images of the prompts with the highest d_mem, kept for the private report of `bench prompts`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.progress import progress
from benchmark.core.sealed import is_intact, require_intact, sealed_write
from benchmark.core.types import chunks, to_pixels
from benchmark.text2image.options import PromptSampling

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.core.types import Array

FILE = "top-images.npz"


def keep_top_images(pipeline: Any, top: pd.DataFrame, sampling: PromptSampling, folder: Path, *, batch: int) -> Path:
    """Sample the top prompts (prompt, sha) from the noises that they were scored with, and write FILE to a folder.

    The file holds `sha` (n,) and `images` (n, seeds, C, height, width), uint8. It is private: a memorised prompt gives
    back a training image. Images that are there are kept. Raises AdapterError where an image is not finite.
    """
    path = folder / FILE
    if is_intact(path) and list(read_top_images(folder)) == list(top["sha"]):
        return path
    images = _sampled(pipeline, list(top["prompt"]), sampling, batch)
    with sealed_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, sha=np.array(list(top["sha"]), dtype=str), images=images)
    return path


def read_top_images(folder: Path) -> dict[str, Array]:
    """Return the images of each prompt, (seeds, C, height, width) uint8, by sha; none where none were kept."""
    if not (folder / FILE).exists():
        return {}
    with np.load(require_intact(folder / FILE, "score the list again: bench prompts")) as kept:
        return dict(zip(kept["sha"].tolist(), kept["images"], strict=True))


def _sampled(pipeline: Any, prompts: Sequence[str], sampling: PromptSampling, batch: int) -> Array:
    """Return images of P prompts, (P, seeds, C, height, width), uint8."""
    from benchmark.text2image.guided import decode_images, embed_with_empty, guidance_norms, prompt_noise

    pairs = [(prompt, seed) for prompt in prompts for seed in range(sampling.seeds)]
    parts = []
    with progress("images of top prompts", len(pairs)) as advance:
        for part in chunks(len(pairs), batch):
            texts, seeds = zip(*pairs[part], strict=True)
            # All steps, also where --first scored the first one alone: an image needs them.
            latents = guidance_norms(
                pipeline, embed_with_empty(pipeline, texts), prompt_noise(pipeline, texts, seeds),
                steps=sampling.steps, guidance=sampling.guidance,
            )[1]  # fmt: skip
            parts.append(to_pixels(decode_images(pipeline, latents).cpu().numpy(), np.dtype("uint8")))
            advance(len(texts))
    images = np.concatenate(parts)
    return images.reshape(len(prompts), sampling.seeds, *images.shape[1:])
