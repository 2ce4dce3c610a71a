"""The one large search of an evaluation: every synthetic image against every real image, read in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core.types import Match, patient_codes
from benchmark.evaluation.prompted import Asked, compete, competition_of
from benchmark.metrics.competition import Nearest, nearest_of_patients, priorities
from benchmark.search import Rows, settle, settle_bank, subject_maxima

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.detectors.bank import Bank
    from benchmark.evaluation.resumable_search import Searching

    Codes = NDArray[np.int64]


@dataclass(frozen=True)
class SyntheticSearch:
    """Nearest images in both directions, and the competition of patients."""

    train: Match
    """The nearest training image of each of N samples."""
    heldout: Match
    """The nearest held-out image of each sample; positions count from the first held-out one."""
    nearest: Nearest
    """The nearest unit of the split (a patient, or patients that share an image) of each sample; with prompts, among
    the units that were asked for."""
    everyone: Nearest
    """The same among all units; without prompts it is `nearest`."""
    real: Match
    """The nearest sample of each of M real images."""
    best: NDArray[np.float64]
    """(T + H,) the greatest similarity of any sample to each training and each held-out unit of `nearest`."""


def side_units(bank: Bank) -> tuple[Codes, Codes]:
    """Number the units of training images (M_train,) and of held-out images (M_heldout,), each from 0."""
    dealt = bank.real.dealt
    return patient_codes(dealt[: bank.train]), patient_codes(dealt[bank.train :])


def search_synthetic(
    bank: Bank, synthetic: Rows, searching: Searching, *, seed: int, asked: Asked | None = None
) -> SyntheticSearch:
    """Compare all samples with all real images, a block of samples at a time; finished blocks are kept.

    Args:
        bank: all real images.
        synthetic: rows of N samples.
        searching: devices and memory.
        seed: of the order of patients that decides between equal similarities.
        asked: whom the samples were asked for, where they were asked with captions.
    """
    train, heldout = side_units(bank)
    best = Match(index=np.zeros(bank.rows.count, dtype=np.int64), similarity=np.full(bank.rows.count, -np.inf))

    def reduce(part: slice, block: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        near = settle(block[:, : bank.train], synthetic, part, bank.rows)
        other = settle(block[:, bank.train :], synthetic, part, bank.rows, offset=bank.train)
        settle_bank(block, synthetic, part, bank.rows, best)
        patients = [by_patient(part.start + rows.start, block[rows]) for rows in searching.row_parts(block)]
        return {name: np.concatenate([one[name] for one in patients]) for name in patients[0]} | {
            "train": near.index, "train_similarity": near.similarity, "heldout": other.index,
            "heldout_similarity": other.similarity, "real": best.index.copy(),
            "real_similarity": best.similarity.copy(),
        }  # fmt: skip

    def by_patient(start: int, rows: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        by_train = subject_maxima(rows[:, : bank.train], train)
        by_heldout = subject_maxima(rows[:, bank.train :], heldout)
        part = slice(start, start + len(rows))
        among = compete(rows, by_train, by_heldout, asked, synthetic, part, bank, seed=seed) if asked else {}
        return among | {"unit": nearest_of_patients(by_train, by_heldout, seed=seed).patient}

    gathered: dict[str, list[NDArray[Any]]] = {}
    for arrays in searching.reduced(synthetic, bank.rows, reduce, keep="synthetic"):
        best.index[:], best.similarity[:] = arrays.pop("real"), arrays.pop("real_similarity")
        for name, values in arrays.items():
            gathered.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in gathered.items()}
    everyone, by_unit = _competition(whole, train, heldout, seed), _by_unit(best.similarity, train, heldout)
    return SyntheticSearch(
        train=Match(index=whole["train"], similarity=whole["train_similarity"]),
        heldout=Match(index=whole["heldout"], similarity=whole["heldout_similarity"]),
        nearest=competition_of(whole["asked_unit"], whole["asked_similarity"], asked, seed=seed) if asked else everyone,
        everyone=everyone,
        real=best,
        best=by_unit[asked.patients] if asked else by_unit,
    )


def _competition(whole: dict[str, NDArray[Any]], train: Codes, heldout: Codes, seed: int) -> Nearest:
    """Give each sample the exact similarity of the side that it goes to: blocks are compared in float32."""
    size, others = int(train.max()) + 1, int(heldout.max()) + 1
    unit = whole["unit"]
    similarity = np.where(unit < size, whole["train_similarity"], whole["heldout_similarity"])
    return Nearest(similarity, unit, size, others, priorities(size, others, seed))


def _by_unit(similarity: NDArray[np.float64], train: Codes, heldout: Codes) -> NDArray[np.float64]:
    size = int(train.max()) + 1
    best = np.full(size + int(heldout.max()) + 1, -np.inf)
    np.maximum.at(best, np.concatenate([train, size + heldout]), similarity)
    return best
