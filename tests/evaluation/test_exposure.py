"""What is refused and what stands beside the headline, from nearest patients that are given directly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.core.types import Cohort
from benchmark.evaluation.exposure import (
    Exposure,
    copied_patients,
    headline_threshold,
    measure_exposure,
    possible_for,
    possible_scores,
)
from benchmark.metrics.competition import Estimate, Nearest, exposed, nearest_of_patients, priorities
from benchmark.metrics.detectable import detectable
from benchmark.metrics.replicates import share_replicates
from benchmark.metrics.split_test import SplitTest

from .conftest import small_cohort

TRAIN, HELDOUT, COUNT = 60, 40, 300
FAIR = SplitTest(0.4, 0.5, 0.5)
REFUSED = ("exposed.patients", "exposed.items", "privacy.epsilon", "growth.times10", "growth.times100")


def drawn(copies: int = 0, of_heldout: int = 0, *, train: int = TRAIN, heldout: int = HELDOUT) -> Nearest:
    """Random patients at similarities below 0.6; the first samples copy one patient each."""
    rng = np.random.default_rng(3)
    patient, similarity = rng.integers(0, train + heldout, COUNT), 0.6 * rng.random(COUNT)
    patient[:copies], similarity[:copies] = np.arange(copies), 0.999
    copied = slice(copies, copies + of_heldout)
    patient[copied], similarity[copied] = train + np.arange(of_heldout), 0.999
    return Nearest(similarity, patient, train, heldout, priorities(train, heldout, 0))


def measured(nearest: Nearest, **given: Any) -> Exposure:
    best = np.full(nearest.train + nearest.heldout, 0.5)
    np.maximum.at(best, nearest.patient, nearest.similarity)
    in_train = np.where(nearest.patient < nearest.train, nearest.similarity, 0.1)
    options = {"level": 0.9, "split": FAIR, "seed": 0} | given
    return measure_exposure(nearest, in_train, best, **options)


def reasons(exposure: Exposure) -> set[str]:
    for name in REFUSED:
        assert exposure.scores[name].value is None
        assert exposure.scores[name].low is exposure.scores[name].high is None
    assert exposure.replicates == ()
    return {exposure.scores[name].reason for name in REFUSED}


def test_copies_are_scored_and_read_by_every_number() -> None:
    exposure, nearest = measured(drawn(15)), drawn(15)
    scores, found = exposure.scores, exposed(drawn(15))
    assert scores["exposed.patients"].low == found.patients.low > 0
    assert scores["exposed.items"].low == found.samples.low > 0
    assert scores["exposed.threshold"].reason == f"of copies more similar than {found.threshold:.3f}"
    assert scores["exposed.threshold"].n == found.depth
    assert scores["exposed.verbatim"].value == 15
    assert scores["heldout.exposed"].value == 0
    assert (scores["split.p"].value, scores["split.p"].n) == (0.4, TRAIN + HELDOUT)
    assert (scores["privacy.epsilon"].value or 0) > 0
    assert (scores["growth.times10"].value or 0) >= 15
    assert (scores["growth.times100"].value or 0) >= (scores["growth.times10"].value or 0)
    assert exposure.replicates == share_replicates(nearest, max(1, found.depth // 2), seed=0)
    assert [row["x"] for row in exposure.curve] == [row.x for row in found.curve]


def test_nothing_copied_shows_nothing() -> None:
    scores = measured(drawn()).scores
    assert scores["exposed.patients"].low == scores["exposed.items"].low == 0
    assert scores["exposed.verbatim"].value == 0
    assert scores["privacy.epsilon"].value == 0


def test_the_number_of_withheld_samples_and_their_bound() -> None:
    exposure = measured(drawn(15))
    scores, listed = exposure.scores, int(exposure.withheld.any.sum())
    assert (scores["withheld.items"].value, scores["withheld.items"].n) == (listed, COUNT)
    assert exposure.withheld.any[:15].all()
    assert scores["withheld.false_items"].value == exposure.withheld.false_samples
    assert scores["withheld.false_patients"].value == pytest.approx(TRAIN / (HELDOUT + 1))
    assert scores["withheld.false_patients"].high == exposure.withheld.false_patients


def test_too_few_patients_are_refused() -> None:
    nearest = drawn(train=2, heldout=2)
    assert reasons(measured(nearest)) == {
        (
            "cannot tell: 2 training patients and 2 held-out: even if everybody in training were copied, 17 % of "
            "splits would look so by chance alone; it takes 9 held-out patients for a first claim"
        )
    }


def test_too_few_samples_are_refused() -> None:
    nearest, few = drawn(), slice(0, 4)
    small = Nearest(nearest.similarity[few], nearest.patient[few], TRAIN, HELDOUT, nearest.priority)
    certain = detectable(TRAIN, HELDOUT, 4).certain
    assert reasons(measured(small)) == {
        (
            f"cannot tell: 4 samples can copy 4 patients at most, and with {TRAIN} training and {HELDOUT} held-out "
            f"patients it takes {certain}: at least {certain} samples"
        )
    }


def test_a_detector_that_gives_all_samples_one_similarity_cannot_tell() -> None:
    """All samples go to one patient: 0 [0, 0] where it is a held-out one, although nothing could be seen."""
    blind = nearest_of_patients(np.ones((COUNT, TRAIN)), np.ones((COUNT, HELDOUT)), seed=0)
    assert exposed(blind).patients == Estimate(0.0, 0.0, 0.0)
    assert reasons(measured(blind, tied=1.0)) == {
        (
            "cannot tell: this detector finds 100.0 % of the samples exactly as similar to a training image as to a "
            "held-out one (more than 1.3 %), and copies among these cannot be seen; take another detector"
        )
    }
    assert measured(drawn(15), tied=0.013).scores["exposed.items"].value is not None


def test_a_model_that_has_seen_held_out_patients_is_refused() -> None:
    exposure = measured(drawn(15, 14))
    assert reasons(exposure) == {
        (
            "refused: this model has seen held-out patients (nearly identical synthetic images show 14 of 40), so they "
            "are no control; look for leaks with `bench datasets check`, or say what a model made elsewhere was "
            "trained on with --trained-on; a detector that tells patients badly apart says this of an honest model, too"
        )
    }
    assert (exposure.scores["heldout.exposed"].value, exposure.scores["heldout.exposed"].n) == (14, HELDOUT)
    (by_number,) = reasons(measured(drawn(0, 14), level=1.0))
    assert "has seen held-out patients (beyond chance, copies show 9 of 40), so" in by_number
    assert exposure.scores["exposed.verbatim"].value == 15  # counts copies of training patients all the same
    assert exposure.withheld.any[:15].all()


def test_an_unfair_split_is_refused_with_its_p() -> None:
    exposure = measured(drawn(15), split=SplitTest(0.004, 0.7, 0.5))
    assert reasons(exposure) == {
        (
            "refused: training and held-out patients are not alike (p = 0.004, at most 0.01 is refused), so that a "
            "model which copies nobody would seem to copy; split the patients at random"
        )
    }
    assert exposure.scores["split.p"].value == 0.004


def test_patients_on_both_sides_hide_copies() -> None:
    exposure = measured(drawn(15), split=SplitTest(1.0, 0.42, 0.5, 0.001))
    assert exposure.scores["exposed.items"].value is None
    assert exposure.scores["exposed.items"].reason == (
        "refused: only 42 % of the images nearest to a real image are on its own side (by chance 50 %), so that the "
        "same patients seem to be in training and among the held-out patients (other names, second images, "
        "neighbouring slices), and their copies cannot be seen; say who is who, and split by patients"
    )
    assert measured(drawn(15), split=SplitTest(0.998, 0.46, 0.5, 0.002)).scores["exposed.items"].value is not None


def test_a_split_that_cannot_be_tested_says_so() -> None:
    exposure = measured(drawn(15), split=None)
    assert (exposure.scores["split.p"].value, exposure.scores["split.p"].reason) == (
        None,
        "all images are of one patient",
    )
    assert exposure.scores["exposed.patients"].value is not None


def test_what_the_owner_did_not_say_comes_first() -> None:
    assert reasons(measured(drawn(15, 14), refusal="cannot tell: nobody said")) == {"cannot tell: nobody said"}


def test_epsilon_reads_the_two_sides_in_their_order() -> None:
    """Held-out patients whom samples are nearer to show no membership of training patients."""
    nearest = drawn()
    best = np.concatenate([np.full(TRAIN, 0.9), np.full(HELDOUT, 0.1)])
    for values, shows in ((best, True), (1 - best, False)):
        exposure = measure_exposure(nearest, nearest.similarity, values, level=0.99, split=FAIR, seed=0)
        assert ((exposure.scores["privacy.epsilon"].value or 0) > 1) == shows


def test_copied_patients_are_training_patients_above_the_threshold() -> None:
    nearest = drawn(15, 1)
    found = exposed(nearest)
    assert found.threshold is not None
    expected = [
        patient if patient < TRAIN and similarity > found.threshold else -1
        for patient, similarity in zip(nearest.patient, nearest.similarity, strict=True)
    ]
    assert copied_patients(found, nearest).tolist() == expected
    assert set(expected) > {-1}


def test_the_threshold_of_all_samples() -> None:
    nearest = drawn()
    alone = Nearest(nearest.similarity, nearest.patient % TRAIN, TRAIN, HELDOUT, nearest.priority)
    exposure = measured(alone)
    assert exposure.scores["exposed.threshold"].reason == "all samples are spoken of"
    assert headline_threshold(exposure) == -1
    assert headline_threshold(measured(drawn(15))) == exposed(drawn(15)).threshold


def test_what_a_cohort_can_show_counts_units_of_all_held_out_patients() -> None:
    cohort: Cohort = small_cohort()
    possible = possible_for(cohort, 300)
    assert possible == detectable(39, 63, 300)
    assert possible != detectable(40, 64, 300) or possible.share is not None
    scores = possible_scores(possible)
    assert (scores["detectable.patients"].value, scores["detectable.share"].value) == (
        possible.patients,
        possible.share,
    )
    small = possible_scores(detectable(2, 2, 300))
    assert small["detectable.patients"].value is small["detectable.share"].value is None
    assert small["detectable.patients"].reason == detectable(2, 2, 300).reason


def test_a_model_that_copies_nobody_is_not_said_to_expose_more_as_it_grows() -> None:
    """Patients above the threshold by chance are no copies: with a lower end of 0 the growth begins at 0."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        patient = rng.integers(0, TRAIN + HELDOUT, COUNT)
        nearest = Nearest(rng.random(COUNT), patient, TRAIN, HELDOUT, priorities(TRAIN, HELDOUT, seed))
        scores = measured(nearest).scores
        if scores["exposed.patients"].low == 0:
            assert [scores[f"growth.times{factor}"].low for factor in (10, 100)] == [0, 0]
    copies = measured(drawn(15)).scores
    for factor in (10, 100):
        low, value, high = (getattr(copies[f"growth.times{factor}"], end) for end in ("low", "value", "high"))
        assert (copies["exposed.patients"].low or 0) <= low <= value <= high <= TRAIN
