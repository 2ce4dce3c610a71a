"""The `prompts` scores of a run's record: d_mem of captions that were trained on and of others. No text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.cohorts.captions import captions_of
from benchmark.core.types import Cohort, InOtherProcess, Sampler, Score, Split, chunks
from benchmark.images.sample_checks import taken
from benchmark.metrics.copy_rate import PatientScores, membership
from benchmark.metrics.prompts import CANNOT_RANK, constant, enrichment, length_adjusted, outliers, rank_correlation
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.markers import MARKER

if TYPE_CHECKING:
    from benchmark.core.types import Array

CAPTIONS_PER_SIDE = 100
"""Largest number of captions, of training items and of held-out ones each."""
MIN_CAPTIONS = 20
"""Least number of different captions on each side; fewer give no useful interval."""
STEPS, BATCH = 50, 16
ROWS = 8
"""Rows of the figure."""


def of_pipeline(adapter: Any, question: Callable[..., Any], *values: Any) -> Any:
    """Return question(pipeline, *values) of a model's pipeline, computed in the process that holds the pipeline."""
    if isinstance(adapter, InOtherProcess):
        return adapter.of_pipeline(question.__module__, question.__name__, *values)
    return question(adapter.pipeline, *values)


def refusal_of_pipeline(pipeline: Any) -> str:
    """Return why d_mem is not defined for a pipeline, as a sentence; empty where it is."""
    from benchmark.text2image.pipelines import unsupported_reason

    why = unsupported_reason(pipeline)
    return f"it is a {type(pipeline).__name__}, which {why}" if why else ""


def _token_counts(pipeline: Any, prompts: list[str]) -> Array:
    """Return the numbers of tokens of P prompts that the pipeline reads, (P,)."""
    from benchmark.text2image.prompts import lengths

    return lengths(pipeline, prompts)[1]


def prompt_scores(adapter: Any, cohort: Cohort, *, seed: int, figure: Path) -> dict[str, Score]:
    """Score captions of training items and of held-out items, and draw images of the training captions ranked highest.

    Up to 100 different captions of each side are scored by the first step of d_mem, which costs one call of the U-Net.

    `prompts.auc` tells whether captions of training items score higher than captions that were never trained on.
    `prompts.median`, `prompts.length` (rank correlation with length) and `prompts.marks` (how many times as frequent
    markers are in the top tenth as in the rest) are of the training captions.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    known, others = _captions(cohort, rng)
    if min(len(known), len(others)) < MIN_CAPTIONS:
        reason = f"{len(known)} and {len(others)} different captions in train and held-out, {MIN_CAPTIONS} are needed"
        names = ("auc", "tpr_at_1_fpr", "median", "length", "marks")
        return {f"prompts.{name}[first]": Score(value=None, reason=reason) for name in names}
    values, others_values = (of_pipeline(adapter, _first_step, texts) for texts in (known, others))
    order = values.argsort()[::-1][:ROWS]
    _draw(adapter, cohort, [known[i] for i in order], [f"d_mem {values[i]:.2f}" for i in order], seed, figure)
    tokens = of_pipeline(adapter, _token_counts, known)
    top = outliers(length_adjusted(values, tokens), percentile=90)
    marked = pd.Series(known).str.contains(MARKER, regex=True).to_numpy()
    correlation = rank_correlation(values, tokens)
    scores: dict[str, Score]
    if constant(np.concatenate([values, others_values])):  # an AUC of 0.5 would read as "no memory"
        scores = {name: Score(value=None, reason=CANNOT_RANK) for name in ("auc", "tpr_at_1_fpr")}
    else:
        scores = membership(PatientScores.alone(values), PatientScores.alone(others_values))
    scores["median"] = Score(value=float(np.median(values)), n=len(values))
    reason = "" if correlation is not None else "all captions have one length or one score"
    scores["length"] = Score(value=correlation, n=len(values), reason=reason)
    scores["marks"] = enrichment(marked, top).ratio
    return {f"prompts.{name}[first]": score for name, score in scores.items()}


def _draw(adapter: Sampler, cohort: Cohort, prompts: list[str], labels: list[str], seed: int, figure: Path) -> None:
    from benchmark.text2image.grid import SEEDS, draw_grid

    repeated = [prompt for prompt in prompts for _ in range(SEEDS)]
    drawn = adapter.sample(len(repeated), seed=seed, prompts=repeated)
    images = taken(drawn, slice(0, len(repeated)), cohort.train.shape, "the model")
    oracle = CopyOracle.of(cohort.train, cohort.heldout)
    draw_grid(figure, labels, images.reshape(len(prompts), SEEDS, *images.shape[1:]), oracle)


def _captions(cohort: Cohort, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return different captions of train, and different held-out captions that train does not have."""
    trained = _different(cohort.train)
    known = set(trained)
    heldout = [text for text in _different(cohort.heldout) if text not in known]
    drawn = (
        [texts[number] for number in rng.permutation(len(texts))[:CAPTIONS_PER_SIDE]] for texts in (trained, heldout)
    )
    return next(drawn), next(drawn)


def _different(split: Split) -> list[str]:
    return [text for text in dict.fromkeys(captions_of(split)) if text]


def _first_step(pipeline: Any, prompts: list[str]) -> Array:
    """Return the norm of the guidance at the first step of P prompts, (P,); at zero SNR as of `guidance_of`."""
    from benchmark.text2image.guided import embed_with_empty, guidance_norms, prompt_noise

    parts = []
    for part in chunks(len(prompts), BATCH):
        texts = prompts[part]
        noise = prompt_noise(pipeline, texts, [0] * len(texts))
        norms, _ = guidance_norms(pipeline, embed_with_empty(pipeline, texts), noise, steps=STEPS, guidance=1.0, only=1)
        parts.append(norms[:, 0])
    values: Array = np.concatenate(parts)
    return values
