"""Scores of prompts from the norms of their guidance: d_mem and its variants, outliers, length, markers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.copy_rate import PatientScores, membership

if TYPE_CHECKING:
    from benchmark.core.types import Array

FIRST_STEPS = 10
"""Steps of the n-step variant by default (Wen et al. 2024)."""
NORMAL_95 = 1.959964
PART = 4096
"""Prompts whose small images are in memory at once."""


CONSTANT = 1e-6
"""Scores are constant where they differ by at most this share of the largest: about eight roundings of float32."""
ROUNDING = 1e-12
"""Share of the largest score below which a residual in float64 is rounding."""
CANNOT_RANK = "cannot rank: the score is the same for all prompts"


def variants(norms: Array, size: int, first_steps: int = FIRST_STEPS, *, blind: int = 0) -> dict[str, Array]:
    """Return the variants of d_mem of P prompts from one sampling, each (P,).

    Args:
        norms: (P, seeds, steps): || eps(x_t, prompt) - eps(x_t, empty) ||_2, not squared, along guided DDIM sampling.
        size: numbers in a latent.
        first_steps: of the n-step variant.
        blind: number of first steps at zero SNR, 0 or 1, whose norms are of the network's own output: `first` is of it,
            and the means over several steps leave it out.

    `d_mem`, the mean over seeds and steps (Dutt et al. 2025); `first`, of the first step alone, and `first10` (or of as
    many steps as told), where there are so many (Wen et al. 2024, 2407.21720); `per_root_size`, d_mem over the root of
    the latent's size, which models of one latent share.
    """
    everything = mean_norms(norms, blind).mean(axis=1)
    scores = {
        "d_mem": everything,
        "first": norms[:, :, 0].mean(axis=1, dtype=np.float64),
        "per_root_size": everything / np.sqrt(size),
    }
    if norms.shape[2] >= first_steps > 1:
        scores[f"first{first_steps}"] = mean_norms(norms[:, :, :first_steps], blind).mean(axis=1)
    return scores


def mean_norms(norms: Array, blind: int) -> Array:
    """Return the means over steps of norms (..., steps), (...,) float64; without the blind ones where there are others.

    At zero SNR the norm is of the network's own output, on another scale than those of noise, which it would outweigh.
    """
    informative = norms[..., blind:] if norms.shape[-1] > blind else norms
    means: Array = informative.mean(axis=-1, dtype=np.float64)
    return means


def constant(scores: Array) -> bool:
    """Return whether scores (P,) of two or more prompts are the same up to rounding, and so rank nothing."""
    return len(scores) > 1 and bool(np.ptp(scores) <= CONSTANT * np.abs(scores).max())


def length_adjusted(scores: Array, lengths: Array) -> Array:
    """Return the residuals of scores (P,) after a linear fit in lengths (P,).

    Longer prompts move the prediction further by themselves. Lengths are those after the tokenizer's truncation: the
    model does not see more.
    """
    design = np.c_[np.ones(len(lengths)), lengths.astype(np.float64)]
    line, *_ = np.linalg.lstsq(design, scores, rcond=None)
    residual: Array = scores - design @ line
    # Where the line fits exactly, as for two prompts, what is left is rounding, and would rank prompts by chance.
    residual[np.abs(residual) <= ROUNDING * np.abs(scores).max()] = 0
    return residual


def separation(values: Array, positive: Array) -> dict[str, Score]:
    """Return AUC and TPR at 1 % FPR of prompts, (P,) each, with intervals over prompts, or why there are none."""
    names = ("auc", "tpr_at_1_fpr")
    if constant(values):  # an AUC of 0.5 would read as "no memory", where nothing was measured
        return {name: Score(value=None, reason=CANNOT_RANK) for name in names}
    if not positive.any() or positive.all():
        return {name: Score(value=None, reason="all prompts are on one side") for name in names}
    scores = membership(PatientScores.alone(values[positive]), PatientScores.alone(values[~positive]))
    return {name: replace(scores[name], direction="higher") for name in names}


def outliers(scores: Array, *, percentile: float | None = 99.0, z: float | None = None) -> Array:
    """Return which prompts stand out, (P,) bool: at or above a percentile, or more than z deviations above the mean.

    Where the scores are constant no prompt does: the percentile of equal scores would make outliers of all.
    """
    if constant(scores):
        return np.zeros(len(scores), bool)
    if z is not None:
        spread = scores.std()
        above: Array = (scores - scores.mean()) > z * spread if spread > 0 else np.zeros(len(scores), bool)
        return above
    assert percentile is not None
    top: Array = scores >= np.quantile(scores, percentile / 100, method="higher")
    return top


@dataclass(frozen=True)
class Enrichment:
    """The frequency of a marker in the top prompts compared with the others."""

    top: int
    top_marked: int
    rest: int
    rest_marked: int
    ratio: Score
    """Share in the top over share in the rest, with its 95 % interval."""


def enrichment(marked: Array, top: Array) -> Enrichment:
    """Compare the shares of marked prompts at the top and elsewhere.

    Args:
        marked: (P,) bool, which prompts hold the marker.
        top: (P,) bool, which prompts are at the top.
    """
    tops, hits, rest, others = (int(side.sum()) for side in (top, top & marked, ~top, ~top & marked))
    if not tops or not rest:
        return Enrichment(tops, hits, rest, others, Score(value=None, reason="every prompt is on one side"))
    if not marked.any():
        return Enrichment(tops, hits, rest, others, Score(value=None, reason="no prompt holds the marker"))
    # Half a prompt more in each count: a share of 0 has no logarithm, and so no interval (Pettigrew et al. 1986).
    value, low, high = relative_risk(hits + 0.5, tops + 0.5, others + 0.5, rest + 0.5)
    return Enrichment(tops, hits, rest, others, Score(value=value, low=low, high=high, n=len(marked)))


def relative_risk(cases: float, total: float, other_cases: float, other_total: float) -> tuple[float, float, float]:
    """Return the ratio of two shares with its 95 % interval, from the normal law of its logarithm (Katz et al. 1978).

    `scipy.stats.contingency.relative_risk` computes the same and refuses counts that are not whole, which ours are not.
    """
    log = np.log((cases / total) / (other_cases / other_total))
    deviation = np.sqrt(1 / cases - 1 / total + 1 / other_cases - 1 / other_total)
    low, high = log - NORMAL_95 * deviation, log + NORMAL_95 * deviation
    return float(np.exp(log)), float(np.exp(low)), float(np.exp(high))


def seed_likeness(thumbs: Array) -> Array:
    """Return the mean correlation between the images of one prompt's seeds, (P,); one seed tells nothing: 0.

    Args:
        thumbs: (P, S, numbers) small images, possibly memory-mapped; the mean over all of them is subtracted first.

    A memorised prompt gives the same image for every noise (Carlini et al. 2023, 2301.13188, look for such cliques).
    """
    if thumbs.shape[1] < 2:
        return np.zeros(len(thumbs))
    parts = [slice(start, start + PART) for start in range(0, len(thumbs), PART)]
    total = sum(np.asarray(thumbs[part]).sum(axis=(0, 1), dtype=np.float64) for part in parts)
    mean = total / (thumbs.shape[0] * thumbs.shape[1])
    return np.concatenate([_likeness(np.asarray(thumbs[part], dtype=np.float64) - mean) for part in parts])


def _likeness(rows: Array) -> Array:
    """Return the mean correlation between all pairs of S rows, of (P, S, numbers)."""
    rows = rows - rows.mean(axis=2, keepdims=True)
    lengths = np.linalg.norm(rows, axis=2, keepdims=True)
    rows = np.divide(
        rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-9
    )  # a constant image correlates with none
    seeds = rows.shape[1]
    # The sum over pairs of unit rows: |sum of rows|^2 less the S squares, over S (S - 1) ordered pairs.
    likeness: Array = ((rows.sum(axis=1) ** 2).sum(axis=1) - (rows**2).sum(axis=(1, 2))) / (seeds * (seeds - 1))
    return likeness


def diversity(images: Array) -> float:
    """Return the root of the mean squared difference between all pairs of images (S, ...)."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    # The mean over pairs of |x - y|^2 is 2 S / (S - 1) times the mean squared distance to the mean image.
    spread = ((rows - rows.mean(axis=0)) ** 2).mean(axis=1).sum()
    return float(np.sqrt(2 * spread / max(1, len(rows) - 1)))


def rank_correlation(first: Array, second: Array) -> float | None:
    """Return Spearman's correlation of two (P,), ties at their mean rank; None where one side is constant."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)
