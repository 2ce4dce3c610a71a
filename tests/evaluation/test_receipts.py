"""Receipts: what is kept gives every number again, bit for bit, and nothing else is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.evaluation.exposure import Exposure, measure_exposure
from benchmark.evaluation.receipts import BEYOND, receipt_of, replay
from benchmark.metrics.competition import Nearest, priorities
from benchmark.metrics.replicates import GROUP
from benchmark.metrics.split_test import SplitTest
from benchmark.records.receipt import Receipt

FAIR = SplitTest(0.4, 0.5, 0.5, 0.6)


def drawn(
    seed: int,
    *,
    train: int = 60,
    heldout: int = 40,
    count: int = 300,
    copies: int = 0,
    of_heldout: int = 0,
    digits: int = 9,
) -> tuple[Nearest, dict[str, Any]]:
    """Samples at random patients, some of them copies; with few digits many similarities are equal."""
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, train + heldout, count)
    similarity = np.round(0.6 * rng.random(count), digits)
    patient[:copies], similarity[:copies] = rng.integers(0, train, copies), 0.999
    copied = slice(copies, copies + of_heldout)
    patient[copied], similarity[copied] = train + rng.integers(0, heldout, of_heldout), 0.998
    shuffled = rng.permutation(count)
    nearest = Nearest(similarity[shuffled], patient[shuffled], train, heldout, priorities(train, heldout, seed))
    in_train = np.where(nearest.patient < train, nearest.similarity, nearest.similarity - 0.01)
    best = rng.random(train + heldout)
    np.maximum.at(best, nearest.patient, nearest.similarity)
    given = {
        "train_similarity": in_train,
        "best": best,
        "level": 0.9,
        "seen_level": 0.55,
        "split": FAIR,
        "pair_seed": 7,
    }
    return nearest, given


def measured(nearest: Nearest, given: dict[str, Any], **more: Any) -> tuple[Exposure, Receipt]:
    options = given | more
    everyone = options.pop("everyone", None)
    different = options.pop("different", len(nearest.similarity))
    tied, refusal = options.pop("tied", 0.0), options.pop("refusal", "")
    exposure = measure_exposure(
        nearest, seed=0, everyone=everyone, different=different, tied=tied, refusal=refusal, **options
    )
    receipt = receipt_of(
        nearest, everyone=everyone or nearest, different=different, tied=tied, refusal=refusal,
        scored=bool(exposure.replicates), uneven=False, **options,
    )  # fmt: skip
    return exposure, Receipt.model_validate_json(receipt.model_dump_json())


CASES: list[dict[str, Any]] = [
    {},
    {"copies": 25},
    {"copies": 200},
    {"copies": 40, "digits": 2},
    {"digits": 1},
    {"of_heldout": 30},
    {"copies": 3, "of_heldout": 1},
    {"train": 200, "heldout": 200, "count": 2000},
    {"train": 200, "heldout": 200, "count": 2000, "digits": 3},
    {"train": 200, "heldout": 100, "count": 2000, "copies": 60, "of_heldout": 60},
    {"train": 20, "heldout": 300, "count": 1000},
    {"train": 300, "heldout": 9, "count": 100},
    {"train": 2, "heldout": 2, "count": 10},
    {"count": 4},
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_a_replay_gives_every_number_again(case: dict[str, Any], seed: int) -> None:
    exposure, receipt = measured(*drawn(seed, **case))
    again = replay(receipt)
    assert again.scores == exposure.scores
    assert again.replicates == exposure.replicates


@pytest.mark.parametrize(
    "more",
    [
        {"refusal": "cannot tell: nobody said what it was trained on"}, {"tied": 0.5}, {"split": None},
        {"different": 3}, {"split": SplitTest(0.002, 0.9, 0.5)}, {"level": 0.3},
        {"split": SplitTest(0.9, 0.1, 0.5, 0.0005)},
        {"seen_level": 0.1}, {"seen_level": 0.9999},
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [{}, {"train": 200, "heldout": 200, "count": 2000}])
def test_refusals_are_replayed(more: dict[str, Any], size: dict[str, Any]) -> None:
    exposure, receipt = measured(*drawn(5, **size), **more)
    assert replay(receipt).scores == exposure.scores


def test_prompts_have_an_order_of_their_own() -> None:
    """Those who were asked for compete, and the list to withhold is of anybody."""
    everyone, given = drawn(1, train=200, heldout=150, count=1500, copies=30)
    asked, _ = drawn(2, train=40, heldout=40, count=1500, copies=20)
    exposure, receipt = measured(asked, given | {"best": np.random.default_rng(0).random(80)}, everyone=everyone)
    assert receipt.everyone is not None
    again = replay(receipt)
    assert again.scores == exposure.scores
    assert again.replicates == exposure.replicates


def test_the_order_goes_no_further_than_what_decides() -> None:
    nearest, given = drawn(0, train=300, heldout=300, count=5000)
    exposure, receipt = measured(nearest, given)
    held = set(receipt.order.patients) - set(receipt.order.training)
    assert len(held) >= (exposure.scores["exposed.threshold"].n or 0) + BEYOND
    assert len(receipt.order.patients) < 60
    assert len(receipt.model_dump_json()) < 2000


def test_no_similarity_but_the_threshold_is_in_a_receipt() -> None:
    """Any other would be a fingerprint of a patient for whoever has an image of his and the samples."""
    nearest, given = drawn(0, train=300, heldout=300, count=5000)
    exposure, receipt = measured(nearest, given)
    numbers = [part for part in _numbers(receipt.model_dump()) if isinstance(part, float)]
    assert sorted(set(numbers) - {FAIR.p_value, FAIR.same_side, FAIR.expected, FAIR.mixed_p, 0.0}) == [
        exposure.scores["exposed.threshold"].value
    ]


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in _numbers(part)]
    if isinstance(value, list | tuple):
        return [number for part in value for number in _numbers(part)]
    return [value]


def test_receipts_of_one_cohort_share_groups_and_no_numbers() -> None:
    """Numbers that several receipts share could be linked: whoever is near to the samples of these sets is this one."""
    nearest, given = drawn(0, train=60, heldout=40, count=3000)
    _, receipt = measured(nearest, given)
    order = receipt.order
    assert sorted(set(order.patients)) == list(range(len(order.groups)))
    first = int(nearest.patient[np.argsort(-nearest.similarity, kind="stable")[0]])
    assert order.groups[order.patients[0]] == nearest.priority[first] // GROUP
    assert max(order.groups) < -(-100 // GROUP)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hits": (1,)}, "1 numbers of right guesses, and 4 are tried"),
        ({"hits": (40, 0, 0, 0)}, "40 right guesses of 40, after 0 of 20"),
        ({"seen": 400}, "samples above the level for held-out patients that are not in the order"),
        ({"verbatim": (299, 300)}, "verbatim samples that are not in the order"),
        ({"threshold": None}, "the threshold is not that of the order"),
        ({"seen_beyond": 41, "seen": 300}, "more held-out patients beyond the order than there are"),
    ],
)
def test_a_receipt_that_contradicts_itself_is_refused(change: dict[str, Any], reason: str) -> None:
    _, receipt = measured(*drawn(0))
    with pytest.raises(ValueError, match=reason):
        replay(receipt.model_copy(update=change))
