"""The audit of the auditor: what each detector finds, what it flags by mistake, and how long it takes, on one cohort.

Known copies are training items after a known transformation, or parts of them inside held-out items. All is measured
at tau, the threshold that the copy rate of a run uses: the 0.95 conformal quantile of calibration items against train.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Cohort, Score, patient_codes
from benchmark.detectors.bank import Bank, bank_of
from benchmark.evaluation.planted_recall import (
    COPIES,
    Planted,
    choose_planted,
    embed_pasted,
    embed_planted,
    found_copies,
)
from benchmark.images.planted_copies import CLAIMED_AS, KINDS, PASTED, STRENGTHS, title
from benchmark.metrics.bootstrap import flagged_share, percentile_interval, resample_patients
from benchmark.metrics.calibration import auc, conformal_quantile
from benchmark.metrics.copy_rate import PatientScores, share_above, threshold
from benchmark.search import Rows, nearest, piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.core.types import Detector
    from benchmark.detectors.fitting import Fitted

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.int64]

ALPHA = 0.05
"""False positives that tau allows."""
NONE = -2.0
"""Below every similarity: stands for no item."""


@dataclass(frozen=True)
class Audit:
    """What one fitted detector does on one cohort."""

    scores: dict[str, Score]
    claims: tuple[str, ...]
    """The copies that the detector claims to find."""
    verdicts: Flags
    """Every planted copy and every test item in a fixed order: above tau or not. Compared between seeds."""


def audit(fitted: Fitted, cohort: Cohort, *, device: str, advance: Callable[..., None], seed: int = 0) -> Audit:
    """Measure one detector.

    Args:
        fitted: the detector and its rows of the cohort's real items.
        cohort: where copies are taken from.
        device: where similarities are computed.
        advance: called after each kind of copy.
        seed: of the choice of items.
    """
    bank = bank_of(cohort, fitted)
    codes = {name: patient_codes(bank.real.subjects[part]) for name, part in bank.parts.items()}
    near, test = (_nearest_train(bank, name, codes, device) for name in ("calibration", "test"))
    tau = conformal_quantile(near.values, near.codes)
    planted = choose_planted(bank, seed=seed)
    neighbour = _neighbours(bank, planted, device)
    scores = {
        "detector.tau": threshold(near),
        "detector.false_positives": share_above(test, near),
        "detector.same_patient": same_patient(bank, codes["train"], tau, device=device),
    }
    verdicts = [test.values > tau]
    for kind in KINDS:
        for strength, copies in _planted_copies(fitted.detector, bank, planted, kind):
            flags, scores_of = _recall(copies, bank, planted, neighbour, tau, device)
            scores |= {f"detector.{what}.{title(kind, strength)}": score for what, score in scores_of.items()}
            verdicts.append(flags)
        advance(note=kind)
    scores |= _speed(fitted, bank, planted, device)
    claims = tuple(title(*CLAIMED_AS[name]) for name in fitted.detector.invariances)
    return Audit(scores, claims, np.concatenate(verdicts))


def _nearest_train(bank: Bank, name: str, codes: dict[str, Codes], device: str) -> PatientScores:
    match = nearest(bank.part(name), bank.part("train"), device=device)
    return PatientScores(match.similarity, codes[name])


def _neighbours(bank: Bank, planted: Planted, device: str) -> Floats:
    """Return each chosen image's similarity to the nearest real image of another patient, (n,)."""
    owners = patient_codes(bank.real.subjects)
    return _others(bank.rows, planted.positions, owners, device, same=False)


def _others(rows: Rows, chosen: Codes, owners: Codes, device: str, *, same: bool) -> Floats:
    """The greatest similarity of items to others of the same patient, or of other patients; NONE without one."""
    best = np.full(len(chosen), NONE)
    # All views count, as in a search: copies are compared by their best view, and so are these.
    queries = [view.take(chosen) for view in (rows, *rows.views)]
    for start in range(0, rows.count, 4096):
        stop = min(start + 4096, rows.count)
        others = rows.take(slice(start, stop))
        block = np.max([rows.similarity.block(view, others, device) for view in queries], axis=0)
        wanted = (owners[chosen][:, None] == owners[None, start:stop]) == same
        wanted &= chosen[:, None] != np.arange(start, stop)[None]
        best = np.maximum(best, np.where(wanted, block, NONE).max(axis=1))
    return best


def same_patient(bank: Bank, codes: Codes, tau: float, *, device: str) -> Score:
    """Share of training items above tau with another training item of their own patient: flags that are no copies."""
    several = np.flatnonzero(np.bincount(codes)[codes] > 1)[: 10 * COPIES]
    if not len(several):
        return Score(value=None, n=0, reason="no patient has two training items")
    best = _others(piece(bank.rows, bank.parts["train"]), several, codes, device, same=True)
    owners = patient_codes([str(code) for code in codes[several]])
    return flagged_share(best > tau, owners)


def _planted_copies(detector: Detector, bank: Bank, planted: Planted, kind: str) -> Iterator[tuple[str, Rows]]:
    """Yield the embedded copies of each strength of a kind, whole or local."""
    for strength, transformation in STRENGTHS.get(kind, {}).items():
        yield strength, embed_planted(detector, bank, planted, transformation)
    for strength, pasting in PASTED.get(kind, {}).items():
        yield strength, embed_pasted(detector, bank, planted, pasting)


def _recall(
    copies: Rows, bank: Bank, planted: Planted, neighbour: Floats, tau: float, device: str
) -> tuple[Flags, dict[str, Score]]:
    """Recall at tau (the nearest training item is above it and of the copied patient), and AUC against neighbours."""
    flags = found_copies(nearest(copies, bank.part("train"), device=device), planted, tau)
    views = [rows.take(slice(0, copies.count)) for rows in (copies, *copies.views)]
    originals = bank.rows.take(planted.positions)
    source = np.array(
        [
            max(bank.rows.similarity.exact(view[i], originals[i : i + 1])[0] for view in views)
            for i in range(copies.count)
        ]
    )
    scores = {
        "recall": flagged_share(flags, planted.codes, direction="higher"),
        "auc": _auc(source, neighbour, planted.codes),
    }
    return flags, scores


def _auc(source: Floats, neighbour: Floats, codes: Codes) -> Score:
    """P(a copy is nearer to its source than an image to its nearest real neighbour of another patient); (n,) each."""
    value = auc(source, neighbour)

    def once(rng: Generator) -> float:
        index = resample_patients(codes, rng)[0]
        return auc(source[index], neighbour[index])

    low, high = percentile_interval(once, value, resamples=200)
    return Score(value=value, low=low, high=high, n=len(source), direction="higher")


def _speed(fitted: Fitted, bank: Bank, planted: Planted, device: str) -> dict[str, Score]:
    """Seconds to embed 1,000 items and to compare a million pairs of embedded ones."""
    started = time.perf_counter()
    fitted.detector.embed(bank.real.images(planted.positions))
    embedded = time.perf_counter() - started
    others = bank.rows.take(slice(0, min(bank.rows.count, 4096)))
    queries = bank.rows.take(planted.positions)
    started = time.perf_counter()
    fitted.rows.similarity.block(queries, others, device)
    compared = time.perf_counter() - started
    pairs = len(queries) * len(others)
    return {
        "detector.embed_seconds": Score(value=1000 * embedded / len(queries), n=len(queries), direction="lower"),
        "detector.pair_seconds": Score(value=1e6 * compared / pairs, n=pairs, direction="lower"),
    }


def between_seeds(audits: Sequence[Audit]) -> dict[str, Score]:
    """Mean recall's spread over detector seeds, and the share of verdicts that every seed agrees on."""
    recalls = [np.mean(list(recall_of(one.scores).values())) for one in audits]
    if len(audits) < 2:
        reason = "one seed; give --seeds 3, or a detector that is trained"
        return {
            "detector.recall_mean": Score(value=float(recalls[0]), n=COPIES, direction="higher"),
            "detector.agreement": Score(value=None, n=1, reason=reason),
        }
    verdicts = np.stack([one.verdicts for one in audits])
    agreed = (verdicts == verdicts[0]).all(axis=0)
    return {
        "detector.recall_mean": Score(
            value=float(np.mean(recalls)), low=float(min(recalls)), high=float(max(recalls)), n=len(audits),
            direction="higher", reason="the ends are the least and the greatest of the seeds",
        ),
        "detector.agreement": Score(value=float(agreed.mean()), n=agreed.size, direction="higher"),
    }  # fmt: skip


def recall_of(scores: dict[str, Score]) -> dict[str, float]:
    """Return recall by kind and strength of copy."""
    start = "detector.recall."
    return {
        name[len(start) :]: score.value
        for name, score in scores.items()
        if name.startswith(start) and score.value is not None
    }
