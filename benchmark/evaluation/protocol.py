"""Protocol p1 for one detector: synthetic items against every real item, calibrated on held-out patients.

Everything that is measured comes from four exact searches: synthetic -> all real items (and, read the other way, every
real item -> its best synthetic item), held-out -> train, planted copies -> train.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.types import Detector, Match, Score, patient_codes
from benchmark.detectors.fitting import SHORT
from benchmark.evaluation.literature import Searched, correlations, secondary_scores
from benchmark.evaluation.planted_recall import choose_planted, embed_planted, found_copies, share_by_patient
from benchmark.evaluation.resumable_search import Searching
from benchmark.images.planted_copies import PLANTED
from benchmark.metrics import twin
from benchmark.metrics.calibration import (
    benjamini_hochberg,
    conformal_quantile,
)
from benchmark.metrics.copy_rate import PatientScores, membership, share_above, threshold
from benchmark.search import Rows, piece, settle, settle_bank, subject_maxima

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.detectors.bank import Bank

    Columns = dict[str, NDArray[np.generic]]

WITHHOLD_RATE = 0.10

Advance = Callable[..., None]


@dataclass
class Outcome:
    """What one detector says of one synthetic set."""

    scores: dict[str, Score]
    """By id without the detector."""
    replicates: tuple[float, ...]
    matches: Columns
    """Columns of matches.parquet, one row a synthetic item."""
    members: Columns
    """Columns of members.parquet, one row a real item."""
    histograms: dict[str, tuple[int, ...]]
    """Counts of nearest similarities, by what was searched in what."""
    engine: str
    """What searched (`search.Certificate`)."""


@dataclass(frozen=True)
class _Found:
    """The big search: synthetic items against all real items."""

    train: Match
    """The nearest training item of each synthetic one."""
    heldout: Match
    """The nearest held-out item of each; places count from the first held-out one."""
    maxima: twin.TwinMaxima
    real: Match
    """The nearest synthetic item of each real one."""


def evaluate(
    detector: Detector, bank: Bank, synthetic: Rows, *, seed: int, searching: Searching, advance: Advance
) -> Outcome:
    """Score a synthetic set with one detector by protocol p1.

    Args:
        detector: embeds planted copies.
        bank: all real items.
        synthetic: rows of the synthetic items.
        seed: of the patient cuts, the resampling and the choice of planted items.
        searching: where items are compared, and in how much memory.
        advance: called with a note after each of six steps.
    """
    codes = {name: patient_codes(bank.real.subjects[part]) for name, part in bank.parts.items()}
    heldout_codes = patient_codes(bank.real.subjects[bank.train :])
    draws = twin.plan(int(codes["train"].max()) + 1, int(heldout_codes.max()) + 1, seed=seed)
    found = _search_all(bank, synthetic, draws, codes["train"], heldout_codes, searching)
    advance(note="synthetic against all real items")
    match, best = found.train, found.real
    headline = twin.excess(found.maxima, seed=seed)
    searched = searching.search(
        piece(bank.rows, slice(bank.train, len(bank.real))), bank.part("train"), keep="held-out"
    )
    heldout = searched.match
    advance(note="held-out against train")
    near = PatientScores(heldout.similarity[: bank.calibration], codes["calibration"])
    scores = _copy_scores(headline, match, heldout, near, codes["test"], bank)
    tau = conformal_quantile(near.values, near.codes)
    scores["copies.control"] = _control(bank, codes, seed=seed, searching=searching)
    advance(note="control")
    scores |= _planted(detector, bank, tau, seed=seed, searching=searching)
    advance(note="planted copies")
    member = {name: PatientScores(best.similarity[part], codes[name]) for name, part in bank.parts.items()}
    scores |= _member_scores(member, PatientScores(best.similarity[bank.train :], heldout_codes))
    advance(note="train side")
    done = Searched(
        match, found.heldout, PatientScores(heldout.similarity[bank.calibration :], codes["test"]), best.similarity
    )
    published, histograms = correlations(done)
    scores |= published
    if bank.rows.dimension <= SHORT:
        scores |= secondary_scores(bank, synthetic, done, seed=seed, searching=searching)
    advance(note="published rules")
    p = twin.p_values(found.maxima)
    return Outcome(
        scores=scores,
        replicates=headline.replicates,
        matches=_match_columns(bank, match, done.to_heldout, p, tau),
        members={"synthetic": best.index, "similarity": best.similarity, "above": best.similarity > _tau(member)},
        histograms=histograms,
        engine=searched.certificate.engine,
    )


def _tau(member: dict[str, PatientScores]) -> float:
    return conformal_quantile(member["calibration"].values, member["calibration"].codes)


def _search_all(
    bank: Bank,
    synthetic: Rows,
    draws: list[twin.Draw],
    train: NDArray[np.int64],
    heldout: NDArray[np.int64],
    searching: Searching,
) -> _Found:
    """One pass over synthetic x real: nearest items both ways, and S(g; group) of every group of every draw."""
    best = Match(index=np.zeros(bank.rows.count, dtype=np.int64), similarity=np.full(bank.rows.count, -np.inf))

    def reduce(part: slice, block: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        near = settle(block[:, : bank.train], synthetic, part, bank.rows)
        other = settle(block[:, bank.train :], synthetic, part, bank.rows, offset=bank.train)
        settle_bank(block, synthetic, part, bank.rows, best)
        by_train = subject_maxima(block[:, : bank.train], train)
        by_heldout = subject_maxima(block[:, bank.train :], heldout)
        return {
            "train": near.index, "train_similarity": near.similarity, "heldout": other.index,
            "heldout_similarity": other.similarity, "real": best.index.copy(),
            "real_similarity": best.similarity.copy(), **twin.maxima_of(by_train, by_heldout, draws).arrays(),
        }  # fmt: skip

    found: dict[str, list[NDArray[Any]]] = {}
    for arrays in searching.reduced(synthetic, bank.rows, reduce, keep="synthetic"):
        best.index[:], best.similarity[:] = arrays.pop("real"), arrays.pop("real_similarity")
        for name, values in arrays.items():
            found.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    return _Found(
        Match(index=whole["train"], similarity=whole["train_similarity"]),
        Match(index=whole["heldout"], similarity=whole["heldout_similarity"]),
        twin.TwinMaxima.of(draws, whole["parts"], whole["twins"]),
        best,
    )


def _control(bank: Bank, codes: dict[str, NDArray[np.int64]], *, seed: int, searching: Searching) -> Score:
    """The negative control: the excess of test patients' items, as if they were synthetic, against calibration."""
    patients = {name: int(code.max()) + 1 for name, code in codes.items()}
    if min(patients["train"], patients["calibration"]) < 2:
        return Score(value=None, n=len(codes["test"]), reason="fewer than 2 patients in train or calibration")
    draws = twin.plan(patients["train"], patients["calibration"], seed=seed)
    known = piece(bank.rows, slice(0, bank.train + bank.calibration))
    found = []
    for _, block in searching.blocks(bank.part("test"), known):
        by_train = subject_maxima(block[:, : bank.train], codes["train"])
        by_heldout = subject_maxima(block[:, bank.train :], codes["calibration"])
        found.append(twin.maxima_of(by_train, by_heldout, draws))
    excess = twin.excess(twin.join(found), seed=seed)
    return Score(value=excess.value, low=excess.low, high=excess.high, n=len(codes["test"]))


def _copy_scores(
    headline: twin.Excess, match: Match, heldout: Match, near: PatientScores, test_codes: NDArray[np.int64], bank: Bank
) -> dict[str, Score]:
    count = len(match.similarity)
    excess = Score(value=headline.value, low=headline.low, high=headline.high, n=count, direction="lower")
    return {
        "copies.excess": excess,
        "copies.twin": Score(value=headline.tau, n=count),
        "copies.tau": threshold(near),
        "copies.rate": share_above(PatientScores.alone(match.similarity), near),
        "copies.null": share_above(
            PatientScores(heldout.similarity[bank.calibration :], test_codes), near, direction="none"
        ),
    }


def _member_scores(member: dict[str, PatientScores], heldout: PatientScores) -> dict[str, Score]:
    scores = {
        "members.share": share_above(member["train"], member["calibration"]),
        "members.null": share_above(member["test"], member["calibration"], direction="none"),
    }
    return scores | {f"members.{name}": score for name, score in membership(member["train"], heldout).items()}


def _planted(detector: Detector, bank: Bank, tau: float, *, seed: int, searching: Searching) -> dict[str, Score]:
    """Return the recall of each planted copy at tau."""
    planted, train = choose_planted(bank, seed=seed), bank.part("train")
    scores = {}
    for name, transformation in PLANTED.items():
        match = searching.nearest(embed_planted(detector, bank, planted, transformation), train)
        scores[f"detector.recall.{name}"] = share_by_patient(found_copies(match, planted, tau), planted.codes, "higher")
    return scores


def _match_columns(bank: Bank, match: Match, heldout: Match, p: NDArray[np.floating], tau: float) -> Columns:
    items, subjects = np.array(bank.real.items), np.array(bank.real.subjects)
    return {
        "train_item": items[match.index],
        "train_subject": subjects[match.index],
        "train_row": match.index,
        "similarity": match.similarity,
        "heldout_row": heldout.index + bank.train,
        "heldout_similarity": heldout.similarity,
        "above": match.similarity > tau,
        "p_value": p,
        "withhold": benjamini_hochberg(p, WITHHOLD_RATE),
    }
