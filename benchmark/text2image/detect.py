"""All prompt detectors over a list of prompts, and their images: what the study compares with ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import AdapterError
from benchmark.core.progress import progress
from benchmark.core.types import chunks
from benchmark.metrics.prompts import length_adjusted, seed_likeness, variants

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

FURTHER = ("entropy_first", "entropy_last", "anisotropy")


@dataclass(frozen=True)
class Traces:
    """P prompts with S seeds each."""

    norms: Array
    """(P, S, steps)."""
    further: Array
    """(P, S, 3), columns as `FURTHER`."""
    thumbs: Array
    """(P, S, numbers of a small image)."""
    images: Images
    """(P, S, C, *spatial), in [-1, 1]."""


def trace_all(
    pipeline: Any, prompts: Sequence[str], *, seeds: int, steps: int, guidance: float, batch: int, label: str
) -> Traces:
    """Trace every prompt with every seed. Raises AdapterError where a prediction is not finite."""
    from benchmark.text2image.guided import decode
    from benchmark.text2image.tracing import trace

    pairs = [(prompt, seed) for prompt in prompts for seed in range(seeds)]
    found: dict[str, list[Array]] = {"norms": [], "further": [], "thumbs": [], "images": []}
    with progress(label, len(pairs)) as advance:
        for part in chunks(len(pairs), batch):
            texts, numbers = zip(*pairs[part], strict=True)
            one = trace(pipeline, texts, numbers, steps=steps, guidance=guidance, further=True)
            found["images"].append(decode(pipeline, one.latents).clamp(-1, 1).cpu().numpy())
            for name in ("norms", "further", "thumbs"):
                found[name].append(getattr(one, name))
            advance(len(texts))
    stacked = {name: np.concatenate(parts) for name, parts in found.items()}
    require_finite(stacked["norms"])
    return Traces(**{name: values.reshape(len(prompts), seeds, *values.shape[1:]) for name, values in stacked.items()})


def require_finite(norms: Array) -> None:
    """Raise AdapterError where a norm is not a number."""
    if not np.isfinite(norms).all():
        raise AdapterError("the pipeline's prediction is not finite", "use another precision, or check its weights")


def detectors(traces: Traces, lengths: Array, size: int) -> dict[str, Array]:
    """Return every detector's score of each prompt, (P,): higher is said to be memorised.

    Args:
        traces: of P prompts.
        lengths: (P,) tokens of each prompt; itself a detector, which a sound one must beat.
        size: numbers in a latent.
    """
    found = variants(traces.norms, size)
    found.pop("per_root_size")  # the same ranks as d_mem
    found["adjusted"] = length_adjusted(found["d_mem"], lengths)
    found |= further_scores(traces.further, traces.thumbs)
    return found | {"length": lengths.astype(float)}


def further_scores(further: Array, thumbs: Array) -> dict[str, Array]:
    """Return the detectors beside d_mem, (P,) each."""
    means = {name: further[:, :, column].mean(axis=1) for column, name in enumerate(FURTHER)}
    return means | {"seeds": seed_likeness(thumbs)}
