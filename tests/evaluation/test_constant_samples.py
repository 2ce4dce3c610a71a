"""Samples of one grey value are counted, and too many of them are no all-clear."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation import constant_samples
from benchmark.evaluation.constant_samples import constant, constant_refusal, constant_score, count_constant

from .conftest import InMemory


def images(kinds: str) -> np.ndarray:
    """One image per letter: v varies, b black, l two neighbouring levels, w two levels apart."""
    rng = np.random.default_rng(0)
    made = {
        "v": lambda: rng.integers(0, 256, (1, 4, 4)),
        "b": lambda: np.zeros((1, 4, 4)),
        "l": lambda: np.arange(16).reshape(1, 4, 4) % 2 + 200,
        "w": lambda: 2 * (np.arange(16).reshape(1, 4, 4) % 2) + 200,
    }
    return np.stack([made[kind]() for kind in kinds]).astype(np.uint8)


def test_constant_is_one_grey_level_in_every_channel() -> None:
    stored = images("vblw")
    assert constant(stored).tolist() == [False, True, True, False]
    assert constant((stored / 127.5 - 1).astype(np.float32)).tolist() == [False, True, True, False]
    two = np.concatenate([images("bbv"), images("lvv")], axis=1)
    assert constant(two).tolist() == [True, False, False]


def test_all_samples_are_counted_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant_samples, "AT_ONCE", 4)
    assert count_constant(InMemory(images("vbvvvbvlvb"))) == 4


def test_too_many_constant_samples_are_no_all_clear() -> None:
    varied = InMemory(images("v" * 10))
    assert constant_refusal(0, 1000, varied) == constant_refusal(13, 1000, varied) == ""
    assert constant_refusal(14, 1000, varied) == (
        "cannot tell: 14 of 1000 samples are constant, one grey value everywhere (more than 1.3 %), and what the model "
        "would draw in their place is unknown; look at the samples: a safety checker, or an autoencoder that overflows "
        "in fp16 (use its weights in fp32), gives black images"
    )


def test_a_model_may_draw_as_many_empty_slices_as_it_was_trained_on() -> None:
    tenth = InMemory(np.repeat(images("b" + "v" * 9), 500, axis=0))
    assert constant_refusal(130, 1000, tenth) == ""
    assert constant_refusal(131, 1000, tenth).startswith(
        "cannot tell: 131 of 1000 samples are constant, one grey value everywhere (more than 13.0 %), and"
    )
    assert constant_refusal(1000, 1000, InMemory(images("bbb"))) == ""


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_a_model_that_draws_empty_slices_as_it_was_trained_is_seldom_refused(share: float) -> None:
    rng, train, samples = np.random.default_rng(0), 400, 150
    pair = images("bv")
    refused = 0
    for _ in range(200):
        trained = InMemory(pair[(rng.random(train) >= share).astype(int)])
        refused += constant_refusal(int(rng.binomial(samples, share)), samples, trained) != ""
    assert refused <= 14  # 5 % of 200 are 10


def test_the_number_of_constant_samples_is_in_the_record() -> None:
    none, some = constant_score(0, 50), constant_score(2, 50)
    assert (none.value, none.n, none.reason) == (0, 50, "")
    assert (some.value, some.reason) == (2, "2 of 50 samples are constant, one grey value everywhere: they copy nobody")
