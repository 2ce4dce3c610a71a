"""What a cohort can show: power by simulation of the competition, and words where it can show nothing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.competition import SPENDING, Nearest, divided, exposed, priorities
from benchmark.metrics.detectable import Detectable, detectable


def power(train: int, heldout: int, samples: int, copies: int, draws: int, *, distinct: bool) -> float:
    """How often the lower end is above 0, where `copies` samples copy training patients and the others are random."""
    rng, shown = np.random.default_rng(1), 0
    for seed in range(draws):
        sources = rng.permutation(train)[:copies] if distinct else rng.integers(0, train, copies)
        patients = np.concatenate([sources, rng.integers(0, train + heldout, samples - copies)])
        similarity = np.concatenate([1 + rng.random(copies), rng.random(samples - copies)])
        found = exposed(Nearest(similarity, patients, train, heldout, priorities(train, heldout, seed)))
        shown += found.patients.low > 0
    return shown / draws


@pytest.mark.parametrize(
    ("sizes", "certain"), [((300, 300, 500), 6), ((300, 150, 500), 10), ((2000, 400, 5000), 22), ((100, 1000, 500), 2)]
)
def test_so_many_copied_patients_are_always_enough(sizes: tuple[int, int, int], certain: int) -> None:
    found = detectable(*sizes)
    assert found.certain == certain
    assert found.reason == ""
    assert power(*sizes, certain, 60, distinct=True) == 1
    assert found.patients is not None
    assert found.patients <= certain


@pytest.mark.parametrize("sizes", [(300, 150, 500), (60, 10, 200), (150, 150, 300)])
def test_the_smallest_share_is_shown_with_its_power(sizes: tuple[int, int, int]) -> None:
    found = detectable(*sizes)
    assert found.share is not None
    copies = round(found.share * sizes[2])
    assert copies == pytest.approx(found.share * sizes[2])
    assert power(*sizes, copies, 400, distinct=False) >= 0.95 - 0.03
    assert power(*sizes, copies * 3 // 4 - 1, 400, distinct=False) < 0.93


def test_many_images_of_one_patient_hide_how_few_are_copied() -> None:
    """Half of the training images are of one patient: copies of random images are then of fewer patients."""
    images = np.array([299] + [1] * 299)
    even, uneven = detectable(300, 300, 1000), detectable(300, 300, 1000, images=images)
    assert (even.patients, even.certain) == (uneven.patients, uneven.certain)
    assert even.share is not None
    assert uneven.share is not None
    rng = np.random.default_rng(1)

    def shown(share: float) -> float:
        """How often copies of random images are of as many patients as put the lower end above 0."""
        drawn = rng.choice(300, (500, round(share * 1000)), p=images / images.sum())
        return float(np.mean([len(set(row)) >= (even.certain or 0) for row in drawn.tolist()]))

    assert shown(even.share) < 0.5
    assert shown(uneven.share) >= 0.9
    assert uneven.share < 3 * even.share


def test_the_simulation_agrees_with_the_exact_law() -> None:
    nearly_even = np.array([1000] * 299 + [1001])
    assert detectable(300, 150, 500, images=nearly_even).share == detectable(300, 150, 500).share
    assert detectable(300, 150, 500, images=np.full(300, 7)) == detectable(300, 150, 500)


def test_it_is_about_patients_not_samples() -> None:
    few, many = detectable(300, 150, 500), detectable(300, 150, 5000)
    assert few.patients == many.patients == 10
    assert few.share == 0.02
    assert many.share == 0.002


def test_two_and_two_patients_allow_no_claim() -> None:
    assert detectable(2, 2, 1000) == Detectable(
        None, None, None, None, 9,
        "2 training patients and 2 held-out: even if everybody in training were copied, 17 % of splits would look so by"
        " chance alone; it takes 9 held-out patients for a first claim",
    )  # fmt: skip
    assert detectable(2, 8, 1000).patients is None
    assert detectable(2, 9, 1000).certain == 2


FEW_SAMPLES = (
    "8 samples can copy 8 patients at most, and with 300 training and 150 held-out patients it takes 10: at least 10"
    " samples"
)


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ((0, 5, 100), "there is no training patient"),
        (
            (1, 0, 100),
            "1 training patient and 0 held-out: nothing tells copies from chance; it takes 49 held-out patients",
        ),
        ((300, 150, 8), FEW_SAMPLES),
        ((12, 9, 7), "7 samples are too few for any share to be shown with 95 % power"),
    ],
)
def test_reasons(sizes: tuple[int, int, int], reason: str) -> None:
    found = detectable(*sizes)
    assert found.reason == reason
    assert found.share is None


def test_no_claim_is_made_where_none_is_possible() -> None:
    """The words agree with the headline: all training patients copied, and the lower end is still 0."""
    for train, heldout in ((1, 48), (2, 8), (3, 4), (4, 3)):
        assert detectable(train, heldout, 100).patients is None
        nearest = Nearest(np.ones(train), np.arange(train), train, heldout, priorities(train, heldout, 0))
        assert exposed(nearest).patients.low == 0
    for train, heldout in ((1, 49), (2, 9), (3, 5), (4, 4)):
        assert detectable(train, heldout, 100).certain == train
        nearest = Nearest(np.ones(train), np.arange(train), train, heldout, priorities(train, heldout, 0))
        assert exposed(nearest).patients.low >= 1


def test_one_patient_more_or_less_changes_it_little() -> None:
    found = [detectable(300, heldout, 500).patients for heldout in range(100, 400)]
    numbers = [number for number in found if number is not None]
    assert len(numbers) == 300
    assert np.abs(np.diff(numbers)).max() <= 1


def test_detectors_that_share_the_error_need_more_copied_patients() -> None:
    alone, shared = (detectable(194, 151, 200, spending=divided(SPENDING, count)) for count in (1, 3))
    assert (alone.patients, shared.patients) == (7, 9)
    assert detectable(4, 4, 50).patients is not None
    shared = detectable(4, 4, 50, spending=divided(SPENDING, 3))
    assert (shared.patients, shared.heldout_needed) == (None, 6)
