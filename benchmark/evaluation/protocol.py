"""Protocol p2 for one detector: synthetic images against every real image, with held-out patients as the comparison.

What is measured comes from four exact searches: synthetic -> all real images (and, read the other way, every real image
-> its nearest synthetic one), held-out -> train, planted copies -> train, and real -> real once per cohort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.errors import BenchError
from benchmark.core.types import Match, Score, patient_codes
from benchmark.detectors.fitting import SHORT, rows_in_memory
from benchmark.evaluation.exposure import Exposure, headline_threshold, measure_exposure
from benchmark.evaluation.literature import Searched, correlations, secondary_scores
from benchmark.evaluation.planted_recall import (
    Planted,
    blindness,
    choose_planted,
    embed_pasted,
    embed_planted,
    found_copies,
    reconstructed,
)
from benchmark.evaluation.prompted import Asked, asked_patients
from benchmark.evaluation.real_neighbours import RealNeighbours, real_neighbours
from benchmark.evaluation.receipts import cohort_seed, receipt_of
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.synthetic_search import SyntheticSearch, search_synthetic, side_units
from benchmark.images.planted_copies import LOCAL_AS, PASTED, PLANTED
from benchmark.metrics.bootstrap import flagged_share
from benchmark.metrics.calibration import conformal_quantile
from benchmark.metrics.competition import SPENDING, Spending, exposed, join, nearest_of_patients
from benchmark.metrics.copy_rate import PatientScores, membership, share_above, threshold
from benchmark.metrics.detectable import detectable
from benchmark.metrics.membership_control import beside_control, members_against_members
from benchmark.metrics.prompt_pairs import own_patient_difference
from benchmark.metrics.split_test import ROUNDING, SplitTest, split_test
from benchmark.metrics.withhold import IDENTICAL, robust_level, verbatim_level
from benchmark.records.columns import AUTOENCODER
from benchmark.search import Rows, piece, subject_maxima

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmark.core.types import Detector, HasReconstruction
    from benchmark.detectors.bank import Bank
    from benchmark.records.receipt import Receipt

    Columns = dict[str, NDArray[np.generic]]
    Codes = dict[str, NDArray[np.int64]]
    Flags = NDArray[np.bool_]

Advance = Callable[..., None]


@dataclass
class Outcome:
    """What one detector says of one synthetic set."""

    scores: dict[str, Score]
    """By id without the detector."""
    replicates: tuple[float, ...]
    """Replicates of the exposed share, for paired comparisons."""
    matches: Columns
    """Columns of matches.parquet, one row per sample."""
    members: Columns
    """Columns of members.parquet, one row per real image."""
    histograms: dict[str, tuple[int, ...]]
    """Counts of nearest similarities, by what was searched in what."""
    curve: list[dict[str, Any]]
    """Exposed patients at other thresholds."""
    engine: str
    """What searched (`search.Certificate`)."""
    receipt: Receipt | None = None
    """What the headline was computed from."""


def evaluate(
    detector: Detector,
    bank: Bank,
    synthetic: Rows,
    *,
    kept: Path,
    seed: int,
    searching: Searching,
    advance: Advance,
    refusal: str = "",
    prompted: NDArray[np.int64] | None = None,
    different: int | None = None,
    autoencoder: HasReconstruction | None = None,
    spending: Spending = SPENDING,
    pasted: bool = False,
) -> Outcome:
    """Score a synthetic set with one detector by protocol p2.

    Args:
        detector: embeds planted copies.
        bank: all real images.
        synthetic: rows of the samples.
        kept: the folder of the detector for this cohort: the nearest images of other patients are kept there.
        seed: of ties, of resampling, and of the choice of planted images.
        searching: where images are compared, and in how much memory.
        advance: called with a note after each of six steps.
        refusal: why the headline may not be scored whatever it reads.
        prompted: (N,) for a text-to-image model: the row of the real image whose caption each sample was asked with.
        different: how many of the samples are different images; all where it is not given.
        autoencoder: of the model, where it has one: copies that passed it are planted, too.
        spending: error of the interval's lower end, smaller where several detectors decide (`competition.divided`).
        pasted: plant parts of training images inside held-out ones, too.
    """
    codes = {name: patient_codes(bank.real.subjects[part]) for name, part in bank.parts.items()}
    asked = None if prompted is None else asked_patients(bank, prompted)
    own_seed = cohort_seed(bank.real, seed)
    results = search_synthetic(bank, synthetic, searching, seed=own_seed, asked=asked)
    advance(note="synthetic against all real images")
    neighbours = real_neighbours(bank, kept, searching, seed=seed)
    level, seen_level, split = _level(neighbours), _seen_level(bank, neighbours), _split(bank, neighbours, seed)
    others = piece(bank.rows, slice(bank.train, len(bank.real)))
    searched = searching.search(others, bank.part("train"), keep="held-out")
    advance(note="held-out against train")
    near = PatientScores(searched.match.similarity[: bank.calibration], codes["calibration"])
    test = PatientScores(searched.match.similarity[bank.calibration :], codes["test"])
    tau = conformal_quantile(near.values, near.codes)
    planted = choose_planted(bank, seed=seed)
    refusal = refusal or blindness(detector, bank, planted, tau, searching)
    exposure = measure_exposure(
        results.nearest, results.train.similarity, results.best, level=level, split=split, seed=seed, refusal=refusal,
        everyone=results.everyone, tied=_tied(results), seen_level=seen_level, pair_seed=own_seed,
        different=different, spending=spending,
    )  # fmt: skip
    receipt = receipt_of(
        results.nearest, results.train.similarity, results.best, level=level, seen_level=seen_level, split=split,
        pair_seed=own_seed, everyone=results.everyone, tied=_tied(results),
        different=len(results.nearest.similarity) if different is None else different,
        refusal=refusal, scored=bool(exposure.replicates), uneven=asked is None and _uneven(bank),
    )  # fmt: skip
    scores = exposure.scores | _copy_scores(results.train, near, test)
    scores |= _prompt_scores(results, asked) if asked else {}
    scores["exposed.control"] = _control(bank, own_seed=own_seed, searching=searching)
    advance(note="control")
    thresholds = {"recall": tau, "recall_headline": headline_threshold(exposure)}
    scores |= _planted(detector, bank, planted, thresholds, autoencoder, pasted=pasted, seed=seed, searching=searching)
    advance(note="planted copies")
    member = {name: PatientScores(results.real.similarity[part], codes[name]) for name, part in bank.parts.items()}
    scores |= _member_scores(bank, results.real.similarity, asked, seed)
    advance(note="train side")
    done = Searched(results.train, results.heldout, test, results.real.similarity)
    published, histograms = correlations(done)
    scores |= published
    if bank.rows.dimension <= SHORT:
        scores |= secondary_scores(bank, synthetic, done, seed=seed, searching=searching)
    advance(note="published rules")
    return Outcome(
        scores=scores,
        replicates=exposure.replicates,
        matches=_match_columns(bank, results, exposure, tau),
        members=_member_columns(results.real, member),
        histograms=histograms,
        curve=exposure.curve,
        engine=searched.certificate.engine,
        receipt=receipt,
    )


def _level(neighbours: RealNeighbours | None) -> float:
    return IDENTICAL if neighbours is None else verbatim_level(neighbours.similarity[:, 0])


def _seen_level(bank: Bank, neighbours: RealNeighbours | None) -> float:
    return (
        IDENTICAL if neighbours is None else robust_level(neighbours.similarity[:, 0], patient_codes(bank.real.dealt))
    )


def _uneven(bank: Bank) -> bool:
    """Whether training patients have different numbers of images."""
    return len(np.unique(np.bincount(side_units(bank)[0]))) > 1


def _tied(results: SyntheticSearch) -> float:
    """Share of the samples that are as similar to their nearest training image as to their nearest held-out one."""
    return float(np.mean(np.abs(results.train.similarity - results.heldout.similarity) <= ROUNDING))


def _split(bank: Bank, neighbours: RealNeighbours | None, seed: int) -> SplitTest | None:
    """Test whether the split is fair: sides are of units, which the split deals out whole."""
    if neighbours is None:
        return None
    units = patient_codes(bank.real.dealt)
    in_train = np.zeros(int(units.max()) + 1, dtype=bool)
    in_train[units[: bank.train]] = True
    return split_test(neighbours.positions, units, in_train, seed=seed)


def _control(bank: Bank, *, own_seed: int, searching: Searching) -> Score:
    """The negative control: images of test patients as if they were synthetic, against train and calibration."""
    train, calibration = side_units(bank)[0], patient_codes(bank.real.dealt[bank.parts["calibration"]])
    items = len(bank.real) - bank.train - bank.calibration
    possible = detectable(int(train.max()) + 1, int(calibration.max()) + 1, items)
    if possible.patients is None:
        return Score(value=None, n=items, reason=f"cannot tell: {possible.reason}")
    known = piece(bank.rows, slice(0, bank.train + bank.calibration))
    blocks = []
    for _, block in searching.blocks(bank.part("test"), known):
        for rows in searching.row_parts(block):
            by_train = subject_maxima(block[rows, : bank.train], train)
            by_calibration = subject_maxima(block[rows, bank.train :], calibration)
            blocks.append(nearest_of_patients(by_train, by_calibration, seed=own_seed))
        del block  # the next one would be computed while this one is held
    share = exposed(join(blocks)).samples
    return Score(value=share.value, low=share.low, high=share.high, n=items)


def _prompt_scores(searched: SyntheticSearch, asked: Asked) -> dict[str, Score]:
    """Is a sample nearer to the patient whose caption it was asked with, when that patient was trained on?"""
    own = searched.everyone.patient == asked.patient
    return {"prompted.own": own_patient_difference(own, asked.patient, asked.patient < asked.train)}


def _copy_scores(match: Match, near: PatientScores, test: PatientScores) -> dict[str, Score]:
    return {
        "copies.tau": threshold(near),
        "copies.rate": share_above(PatientScores.alone(match.similarity), near),
        "copies.null": share_above(test, near, direction="none"),
    }


MEMBERS = ("share", "null", "auc_members", "auc", "tpr_at_1_fpr")


def _member_scores(bank: Bank, similarity: NDArray[np.float64], asked: Asked | None, seed: int) -> dict[str, Score]:
    """Score real images by their nearest sample; with prompts those of patients who were asked for.

    The others are farther from all samples whatever the model has learnt, and there may be more of them on one side.
    """
    images = np.ones(len(bank.real), dtype=bool) if asked is None else asked.images
    member = {name: _part_scores(bank, similarity, images, part) for name, part in bank.parts.items()}
    empty = [name for name, one in member.items() if not len(one.values)]
    if empty:
        reason = f"no prompt is of a {empty[0]} patient"
        return {f"members.{name}": Score(value=None, reason=reason) for name in MEMBERS}
    heldout = _part_scores(bank, similarity, images, slice(bank.train, len(bank.real)))
    control = members_against_members(member["train"], seed=seed)
    scores = {
        "members.share": share_above(member["train"], member["calibration"]),
        "members.null": share_above(member["test"], member["calibration"], direction="none"),
        "members.auc_members": control,
    }
    scores |= {f"members.{name}": score for name, score in membership(member["train"], heldout).items()}
    return scores | {"members.auc": beside_control(scores["members.auc"], control)}


def _part_scores(bank: Bank, similarity: NDArray[np.float64], images: Flags, part: slice) -> PatientScores:
    subjects = [subject for subject, kept in zip(bank.real.subjects[part], images[part], strict=True) if kept]
    return PatientScores(similarity[part][images[part]], patient_codes(subjects))


def _planted(
    detector: Detector,
    bank: Bank,
    planted: Planted,
    thresholds: dict[str, float],
    autoencoder: HasReconstruction | None,
    *,
    pasted: bool,
    seed: int,
    searching: Searching,
) -> dict[str, Score]:
    """Return the recall of each planted copy at each threshold, by its name."""
    train = bank.part("train")

    def recalls(name: str, copies: Rows) -> dict[str, Score]:
        match = searching.nearest(copies, train)
        return {
            f"detector.{what}.{name}": flagged_share(
                found_copies(match, planted, value), planted.codes, direction="higher"
            )
            for what, value in thresholds.items()
        }

    scores: dict[str, Score] = {}
    for name, transformation in PLANTED.items():
        scores |= recalls(name, embed_planted(detector, bank, planted, transformation))
    for name, (kind, strength) in LOCAL_AS.items() if pasted else ():
        scores |= recalls(name, embed_pasted(detector, bank, planted, PASTED[kind][strength]))
    if autoencoder is None:
        return scores
    try:
        images = reconstructed(autoencoder, bank, planted, seed=seed)
    except BenchError as error:
        none = Score(value=None, n=0, reason=f"no copies that passed the autoencoder: {error.message}")
        return scores | {f"detector.{what}.{AUTOENCODER}": none for what in thresholds}
    return scores | recalls(AUTOENCODER, rows_in_memory(detector, images))


def _match_columns(bank: Bank, results: SyntheticSearch, exposure: Exposure, tau: float) -> Columns:
    items, subjects = np.array(bank.real.items), np.array(bank.real.subjects)
    return {
        "train_item": items[results.train.index],
        "train_subject": subjects[results.train.index],
        "train_row": results.train.index,
        "similarity": results.train.similarity,
        "heldout_row": results.heldout.index + bank.train,
        "heldout_similarity": results.heldout.similarity,
        "above": results.train.similarity > tau,
        "withhold": exposure.withheld.any,
        "reason": np.array(exposure.withheld.reasons()),
    }


def _member_columns(real: Match, member: dict[str, PatientScores]) -> Columns:
    tau = conformal_quantile(member["calibration"].values, member["calibration"].codes)
    return {"synthetic": real.index, "similarity": real.similarity, "above": real.similarity > tau}
