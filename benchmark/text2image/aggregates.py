"""The `prompts` scores of a run's record: what d_mem says of captions trained on and of others. No text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.cohorts.captions import captions_of
from benchmark.core.types import Cohort, HasPrompts, Score, Split, chunks
from benchmark.metrics.copy_rate import PatientScores, membership
from benchmark.metrics.prompts import enrichment, length_adjusted, outliers, rank_correlation
from benchmark.text2image.copy_oracle import CopyOracle
from benchmark.text2image.marks import MARKER

if TYPE_CHECKING:
    from benchmark.core.types import Array

ASKED = 100
"""Captions a side."""
ENOUGH = 20
"""Different captions a side, fewer tell nothing."""
STEPS, BATCH = 50, 16
ROWS = 8
"""Of the picture."""


def prompt_scores(adapter: HasPrompts, cohort: Cohort, *, seed: int, picture: Path) -> dict[str, Score]:
    """Score captions, and draw those of training items with the highest d_mem, a row of seeds each.

    Score up to 100 different captions of training items and as many of held-out ones by d_mem's first step.

    `prompts.auc`: are trained captions above held-out ones that were never trained on; `prompts.median`,
    `prompts.length` (rank correlation with length) and `prompts.marks` (how much more often marks stand in the top
    tenth than in the others) are of the trained ones.
    """
    import pandas as pd

    from benchmark.text2image.prompts import lengths

    rng = np.random.default_rng(seed)
    pipeline = adapter.pipeline
    known, others = _captions(cohort, rng)
    if min(len(known), len(others)) < ENOUGH:
        reason = f"{len(known)} and {len(others)} different captions in train and held-out, {ENOUGH} are needed"
        names = ("auc", "tpr_at_1_fpr", "median", "length", "marks")
        return {f"prompts.{name}[first]": Score(value=None, reason=reason) for name in names}
    values, rest = _first_step(pipeline, known), _first_step(pipeline, others)
    order = values.argsort()[::-1][:ROWS]
    _draw(adapter, cohort, [known[i] for i in order], [f"d_mem {values[i]:.2f}" for i in order], seed, picture)
    _, tokens = lengths(pipeline, known)
    top = outliers(length_adjusted(values, tokens), percentile=90)
    marked = pd.Series(known).str.contains(MARKER, regex=True).to_numpy()
    correlation = rank_correlation(values, tokens)
    scores = membership(PatientScores.alone(values), PatientScores.alone(rest))
    scores["median"] = Score(value=float(np.median(values)), n=len(values))
    reason = "" if correlation is not None else "all captions have one length or one score"
    scores["length"] = Score(value=correlation, n=len(values), reason=reason)
    scores["marks"] = enrichment(marked, top).ratio
    return {f"prompts.{name}[first]": score for name, score in scores.items()}


def _draw(adapter: HasPrompts, cohort: Cohort, prompts: list[str], notes: list[str], seed: int, picture: Path) -> None:
    from benchmark.text2image.grid import SEEDS, draw_grid

    asked = [prompt for prompt in prompts for _ in range(SEEDS)]
    images = np.concatenate(list(adapter.sample(len(asked), seed=seed, prompts=asked)))
    truth = CopyOracle.of(cohort.train, cohort.heldout)
    draw_grid(picture, notes, images.reshape(len(prompts), SEEDS, *images.shape[1:]), truth)


def _captions(cohort: Cohort, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return different captions of train, and held-out ones that train does not have."""
    trained = _different(cohort.train)
    known = set(trained)
    heldout = [text for text in _different(cohort.heldout) if text not in known]
    drawn = ([texts[number] for number in rng.permutation(len(texts))[:ASKED]] for texts in (trained, heldout))
    return next(drawn), next(drawn)


def _different(split: Split) -> list[str]:
    return [text for text in dict.fromkeys(captions_of(split)) if text]


def _first_step(pipeline: Any, prompts: list[str]) -> Array:
    from benchmark.text2image.guided import both_texts, guidance_norms, prompt_noise

    found = []
    for part in chunks(len(prompts), BATCH):
        texts = prompts[part]
        noise = prompt_noise(pipeline, texts, [0] * len(texts))
        norms, _ = guidance_norms(pipeline, both_texts(pipeline, texts), noise, steps=STEPS, guidance=1.0, only=1)
        found.append(norms[:, 0])
    values: Array = np.concatenate(found)
    return values
