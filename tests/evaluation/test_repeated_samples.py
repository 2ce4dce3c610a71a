"""Samples that repeat another one are no further evidence: too few different ones are no all-clear."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation import repeated_samples
from benchmark.evaluation.exposure import measure_exposure
from benchmark.evaluation.repeated_samples import count_different, repeated_score
from benchmark.metrics.competition import Nearest, priorities

from .conftest import InMemory


def test_different_images_are_counted_over_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_samples, "AT_ONCE", 4)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4)).astype(np.uint8)
    assert count_different(InMemory(pixels[[0, 1, 0, 2, 1, 5, 0, 5, 5]])) == 4
    pixels[1] = pixels[0]
    pixels[1, 0, 3, 3] ^= 1
    assert count_different(InMemory(pixels)) == 6


def test_their_number_is_in_the_record() -> None:
    assert (repeated_score(50, 50).value, repeated_score(50, 50).reason) == (0, "")
    some = repeated_score(3, 50)
    assert (some.value, some.n) == (47, 50)
    assert some.reason == "47 of 50 samples repeat another one exactly: they count once"


@pytest.mark.parametrize("patient", [3, 250], ids=["of a training patient", "of a held-out patient"])
def test_one_image_a_thousand_times_is_no_all_clear(patient: int) -> None:
    samples = 1000
    nearest = Nearest(np.full(samples, 0.8), np.full(samples, patient), 200, 200, priorities(200, 200, 0))
    best = np.full(400, 0.1)

    def headline(different: int | None) -> tuple[float | None, str]:
        exposure = measure_exposure(
            nearest, nearest.similarity, best, level=0.99, split=None, seed=0, different=different
        )
        score = exposure.scores["exposed.patients"]
        return score.value, score.reason

    assert headline(None)[0] is not None
    value, reason = headline(1)
    assert value is None
    assert reason == (
        "cannot tell: 1 sample can copy 1 patient at most, and with 200 training and 200 held-out patients it takes "
        "6: at least 6 samples"
    )
