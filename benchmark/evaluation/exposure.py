"""The headline of protocol p2 for one detector: exposed patients and samples, what may be said of them, and why not.

A number that cannot be trusted is refused with its reason: nothing is ever reported as 0 because it could not be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.percent import percent
from benchmark.core.types import Score, patient_codes
from benchmark.evaluation.prompted import prompted_patients
from benchmark.metrics.accumulation import FACTORS, larger_releases
from benchmark.metrics.competition import PRECISION, SPENDING, Estimate, Exposed, Nearest, Spending, exposed
from benchmark.metrics.detectable import Detectable, detectable
from benchmark.metrics.epsilon import loss_of_guesses, right_guesses
from benchmark.metrics.heldout_seen import HeldoutSeen, heldout_seen
from benchmark.metrics.replicates import share_replicates
from benchmark.metrics.split_test import LEVEL, SplitTest
from benchmark.metrics.withhold import Withheld, withhold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Cohort

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

HEADLINE = ("exposed.patients", "exposed.items")
TIED = PRECISION
"""Largest share of samples that may be exactly as similar to both sides. Identical images are kept on one side, so that
only a detector of few values, or samples of zero variance, give ties. A random order decides them: with all samples
tied, one patient gets them all, and the interval reads 0 to 0 where that is a held-out patient. The limit is the share
that chance may add to the upper end: what is unseen is then no larger than what the interval already allows for."""


@dataclass(frozen=True)
class Exposure:
    """What a synthetic set gives away, by one detector."""

    scores: dict[str, Score]
    """By id without the detector."""
    withheld: Withheld
    curve: list[dict[str, Any]]
    """The exposed patients at other thresholds, for evaluation.json."""
    replicates: tuple[float, ...]
    """Replicates of the exposed share, for paired comparisons; empty where the headline is refused."""


def measure_exposure(
    nearest: Nearest,
    train_similarity: Floats,
    best: Floats | None,
    *,
    level: float,
    split: SplitTest | None,
    seed: int,
    refusal: str = "",
    everyone: Nearest | None = None,
    tied: float = 0.0,
    seen_level: float | None = None,
    pair_seed: int | None = None,
    different: int | None = None,
    spending: Spending = SPENDING,
    guesses: Flags | None = None,
) -> Exposure:
    """Score the headline and what is printed with it.

    Args:
        nearest: the nearest unit (patient) of each of N samples.
        train_similarity: (N,) of each sample to its nearest training image.
        best: (T + H,) greatest similarity of any sample to each training and each held-out unit.
        level: similarity above which a sample is a verbatim copy.
        split: the test of the split, where it could be done.
        seed: of pairings and weights.
        refusal: why nothing can be said of this model whatever it reads, such as unknown training data.
        everyone: with prompts, `nearest` is among the units whose captions they were, and this among all units: the
            list to withhold and verbatim copies are of anybody.
        tied: share of the samples that are exactly as similar to a training image as to a held-out one.
        seen_level: the level for held-out patients, lower than `level` where a few patients have two names
            (`withhold.robust_level`); `level` where it is not given.
        pair_seed: of the pairs of the bound on epsilon, which must differ between splits (`competition.tie_seed`);
            `seed` where it is not given.
        different: how many of the N samples are different images; N where it is not given. Repeats are no evidence.
        spending: error of the interval's lower end, smaller where several detectors decide (`competition.divided`).
        guesses: (m,) which guesses of the bound on epsilon are right (`epsilon.right_guesses`), in place of `best`.
    """
    if guesses is None:
        assert best is not None
        pairing = seed if pair_seed is None else pair_seed
        guesses = right_guesses(best[: nearest.train], best[nearest.train :], seed=pairing)
    everyone = everyone or nearest
    withheld = withhold(everyone, train_similarity, level, comparable=nearest.heldout)
    seen = heldout_seen(nearest, level if seen_level is None else seen_level, everyone=everyone)
    samples = len(nearest.similarity) if different is None else different
    result = exposed(nearest, spending=spending)
    possible = detectable(nearest.train, nearest.heldout, samples, spending=spending)
    reason = refusal or _refusal(possible, samples, seen, split, everyone, tied)
    scores = {
        **_headline(result, nearest, reason),
        **_listed(withheld, len(nearest.similarity)),
        **_checks(seen, split, everyone),
        **_privacy(result, nearest, guesses, reason),
    }
    replicates = () if reason else share_replicates(nearest, replicates_at(result), seed=seed)
    curve = [{**vars(row), "patients": dict(vars(row.patients))} for row in result.curve]
    return Exposure(scores, withheld, curve, replicates)


def replicates_at(result: Exposed) -> int:
    """Return x, the held-out patient at which replicates are read: half of the depth."""
    return max(1, result.depth // 2)


def _seen(seen: HeldoutSeen) -> str:
    """Return how many held-out patients the model has seen, and by which of the two rules."""
    if seen.exposed >= seen.verbatim:
        return f"beyond chance, copies show {seen.exposed}"
    return f"nearly identical synthetic images show {seen.verbatim}"


def _refusal(
    possible: Detectable, samples: int, seen: HeldoutSeen, split: SplitTest | None, nearest: Nearest, tied: float
) -> str:
    """Return why the headline is not scored, or nothing."""
    if possible.patients is None or (possible.certain or 0) > samples:
        return f"cannot tell: {possible.reason}"
    if tied > TIED:
        return (
            f"cannot tell: this detector finds {percent(tied)} of the samples exactly as similar to a training image "
            f"as to a held-out one (more than {percent(TIED)}), and copies among these cannot be seen; take "
            "another detector"
        )
    if seen.refused:
        return (
            f"refused: this model has seen held-out patients ({_seen(seen)} of {nearest.heldout}), so they are no "
            "control; look for leaks with `bench datasets check`, or say what a model made elsewhere was trained on "
            "with --trained-on; a detector that tells patients badly apart says this of an honest model, too"
        )
    if split is not None and split.mixed:
        return (
            f"refused: only {percent(split.same_side, 0)} of the images nearest to a real image are on its own side "
            f"(by chance {percent(split.expected, 0)}), so that the same patients seem to be in training and among the "
            "held-out patients (other names, second images, neighbouring slices), and their copies cannot be seen; say "
            "who is who, and split by patients"
        )
    if split is not None and not split.fair:
        return (
            f"refused: training and held-out patients are not alike (p = {split.p_value:.3f}, at most {LEVEL:g} is "
            "refused), so that a model which copies nobody would seem to copy; split the patients at random"
        )
    return ""


def _headline(result: Exposed, nearest: Nearest, reason: str) -> dict[str, Score]:
    samples = len(nearest.similarity)
    return {
        "exposed.patients": _score(result.patients, nearest.train, reason),
        "exposed.items": _score(result.samples, samples, reason),
        "exposed.threshold": threshold_score(result.threshold, result.depth),
    }


def threshold_score(threshold: float | None, depth: int | None) -> Score:
    """Return the similarity above which copies are spoken of, and at which held-out patient it was read."""
    spoken = "all samples are spoken of" if threshold is None else f"of copies more similar than {threshold:.3f}"
    return Score(value=threshold, n=depth, reason=spoken)


def _score(estimate: Estimate, n: int, refusal: str = "") -> Score:
    if refusal:
        return Score(value=None, n=n, direction="lower", reason=refusal)
    return Score(value=estimate.value, low=estimate.low, high=estimate.high, n=n, direction="lower")


def _listed(withheld: Withheld, samples: int) -> dict[str, Score]:
    listed = int(withheld.any.sum())
    return {
        "exposed.verbatim": Score(value=float(withheld.verbatim.sum()), n=samples, direction="lower"),
        "withheld.items": Score(value=float(listed), n=samples, direction="lower"),
        "withheld.false_items": Score(value=float(withheld.false_samples), n=listed),
        "withheld.false_patients": Score(value=withheld.expected_false_patients, high=float(withheld.false_patients))
        if withheld.expected_false_patients <= withheld.false_patients
        else Score(value=float(withheld.false_patients)),
    }


def _checks(seen: HeldoutSeen, split: SplitTest | None, nearest: Nearest) -> dict[str, Score]:
    p = (
        Score(value=split.p_value, n=nearest.train + nearest.heldout)
        if split is not None
        else Score(value=None, n=nearest.train + nearest.heldout, reason="all images are of one patient")
    )
    return {"split.p": p, "heldout.exposed": Score(value=float(max(seen.exposed, seen.verbatim)), n=nearest.heldout)}


def _privacy(result: Exposed, nearest: Nearest, guesses: Flags, reason: str) -> dict[str, Score]:
    """The lower bound on epsilon, and the exposed patients of larger releases."""
    names = [f"growth.times{factor}" for factor in FACTORS]
    if reason:
        return {name: Score(value=None, reason=reason) for name in ("privacy.epsilon", *names)}
    loss = loss_of_guesses(guesses)
    epsilon = Score(value=loss.epsilon, n=loss.pairs, direction="lower")
    return {"privacy.epsilon": epsilon, **_growth(result, nearest)}


def _growth(result: Exposed, nearest: Nearest) -> dict[str, Score]:
    """The exposed patients of a release that is 10 and 100 times as large.

    Some of the patients above the threshold are there by chance, and nobody knows which. Each of the three numbers
    takes as many of them for copied as the headline does (its lower end, its value, its upper end), those with the
    most samples first: patients that chance has put there have few. A lower end of 0 gives a growth from 0.
    """
    copied = copied_patients(result, nearest)
    kept = {
        end: larger_releases(_most_sighted(copied, round(getattr(result.patients, end))), nearest.train)
        for end in ("low", "value", "high")
    }
    scores = {}
    for factor in FACTORS:
        low, high = kept["low"][factor].low, kept["high"][factor].high
        value = min(max(kept["value"][factor].value, low), high)
        scores[f"growth.times{factor}"] = _score(Estimate(value, low, high), len(nearest.similarity))
    return scores


def _most_sighted(copied: Codes, keep: int) -> Codes:
    """Return the patient that each sample (N,) copies, -1 for none and for all but the `keep` most copied patients."""
    patients, counts = np.unique(copied[copied >= 0], return_counts=True)
    most = patients[np.argsort(-counts, kind="stable")[:keep]]
    return np.where(np.isin(copied, most), copied, -1)


def possible_for(
    cohort: Cohort, samples: int, prompted: Codes | None = None, *, spending: Spending = SPENDING
) -> Detectable:
    """Tell what a cohort and so many samples can show, before anything is scored.

    `prompted` (N,) are the rows of the items whose captions were prompts: then only their patients compete.
    `spending` is as for `measure_exposure`.
    """
    if prompted is not None:
        return detectable(*prompted_patients(cohort, prompted), samples, spending=spending)
    images = np.bincount(patient_codes(cohort.train.dealt))
    return detectable(len(images), len(set(cohort.heldout.dealt)), samples, spending=spending, images=images)


def possible_scores(possible: Detectable) -> dict[str, Score]:
    """Return the smallest number of exposed patients, and the smallest share, that can be shown with 95 % power."""
    patients = None if possible.patients is None else float(possible.patients)
    reason = possible.reason or "not enough samples"
    return {
        "detectable.patients": Score(value=patients, reason="" if patients is not None else reason),
        "detectable.share": Score(value=possible.share, reason="" if possible.share is not None else reason),
    }


def headline_threshold(exposure: Exposure) -> float:
    """Return the similarity below which the headline does not speak of copies; -1 where it speaks of all samples."""
    value = exposure.scores["exposed.threshold"].value
    return -1.0 if value is None else value


def copied_patients(result: Exposed, nearest: Nearest) -> Codes:
    """Return the training patient that each sample (N,) copies, above the headline's threshold; -1 for none."""
    level = -np.inf if result.threshold is None else result.threshold
    copies = (nearest.patient < nearest.train) & (nearest.similarity > level)
    return np.where(copies, nearest.patient, -1)
