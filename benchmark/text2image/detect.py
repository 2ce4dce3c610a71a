"""All detectors of memorised prompts over a list of prompts, and the images: the study compares both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import AdapterError
from benchmark.core.progress import progress
from benchmark.core.types import chunks
from benchmark.images.constant import constant
from benchmark.metrics.competition import PRECISION
from benchmark.metrics.prompts import length_adjusted, seed_likeness, variants

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

TOLERATED = PRECISION
"""Largest share of constant images, as among the samples of a run (docs/protocol.md)."""
FURTHER = ("entropy_first", "entropy_last", "anisotropy")


@dataclass(frozen=True)
class Traces:
    """What guided sampling of P prompts with S seeds each gives."""

    norms: Array
    """(P, S, steps), of the guidance."""
    further: Array
    """(P, S, 3), columns as `FURTHER`."""
    thumbs: Array
    """(P, S, pixels of a small image)."""
    blind: int
    """First steps at zero SNR, whose norms are of the network's own output."""
    images: Images
    """(P, S, C, *spatial), in [-1, 1]."""


def trace_all(
    pipeline: Any, prompts: Sequence[str], *, seeds: int, steps: int, guidance: float, batch: int, label: str
) -> Traces:
    """Trace every prompt with every seed. Raises AdapterError where a prediction is not finite."""
    from benchmark.text2image.guided import blind_steps, decode_images
    from benchmark.text2image.tracing import trace

    pairs = [(prompt, seed) for prompt in prompts for seed in range(seeds)]
    collected: dict[str, list[Array]] = {"norms": [], "further": [], "thumbs": [], "images": []}
    with progress(label, len(pairs)) as advance:
        for part in chunks(len(pairs), batch):
            texts, numbers = zip(*pairs[part], strict=True)
            traced = trace(pipeline, texts, numbers, steps=steps, guidance=guidance, further=True)
            require_finite(traced.norms)
            collected["images"].append(decode_images(pipeline, traced.latents).cpu().numpy())
            for name in ("norms", "further", "thumbs"):
                collected[name].append(getattr(traced, name))
            advance(len(texts))
    stacked = {name: np.concatenate(parts) for name, parts in collected.items()}
    arrays = {name: values.reshape(len(prompts), seeds, *values.shape[1:]) for name, values in stacked.items()}
    return Traces(blind=blind_steps(pipeline, steps), **arrays)


def require_finite(norms: Array, prompts: Array | None = None) -> None:
    """Raise AdapterError where one of the norms (N, steps) is not finite.

    `prompts` (N,) are the places in the list, from 0, of the prompts that they are of: the message names one.
    """
    bad = np.flatnonzero(~np.isfinite(norms).reshape(len(norms), -1).all(axis=1))
    if len(bad):
        which = "" if prompts is None else f" for prompt {prompts[bad[0]] + 1} (each counted once)"
        raise AdapterError(
            f"the pipeline's prediction is not finite{which}", "use another precision, or check its weights"
        )


def detector_scores(traces: Traces, lengths: Array, size: int) -> dict[str, Array]:
    """Return the scores of each detector, (P,): the higher, the more likely is the prompt memorised.

    Args:
        traces: of P prompts.
        lengths: (P,) tokens of each prompt; itself a detector, which a useful one must beat.
        size: numbers in a latent.
    """
    scores = variants(traces.norms, size, blind=traces.blind)
    scores.pop("per_root_size")  # the same ranks as d_mem
    scores["adjusted"] = length_adjusted(scores["d_mem"], lengths)
    scores |= further_scores(traces.further, traces.thumbs)
    return scores | {"length": lengths.astype(float)}


def further_scores(further: Array, thumbs: Array) -> dict[str, Array]:
    """Return the scores of the other detectors than d_mem, (P,) each; no `seeds` where too many images are constant.

    Constant images correlate with none, so that a broken autoencoder would read as prompts that are not memorised.

    Args:
        further: (P, S, 3), columns as `FURTHER`.
        thumbs: (P, S, pixels of a small image).
    """
    means = {name: further[:, :, column].mean(axis=1) for column, name in enumerate(FURTHER)}
    if constant_thumbs(thumbs).mean() > TOLERATED:
        return means
    return means | {"seeds": seed_likeness(thumbs)}


def constant_thumbs(thumbs: Array) -> Array:
    """Tell which small images (P, S, C * THUMB * THUMB) are constant, (P * S,) bool."""
    from benchmark.text2image.tracing import THUMB

    return constant(np.asarray(thumbs).reshape(thumbs.shape[0] * thumbs.shape[1], -1, THUMB**2))
