"""Members against members: what an attack reads where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.core.types import Score
from benchmark.metrics.copy_rate import PatientScores, membership
from benchmark.metrics.membership_control import beside_control, members_against_members


def scores(patients: int, per_patient: int, spread: float, *, shift: float = 0.0, seed: int = 0) -> PatientScores:
    """Values that patients differ in by `spread` and their images by 1."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(patients), per_patient)
    values = shift + spread * rng.standard_normal(patients)[codes] + rng.standard_normal(len(codes))
    return PatientScores(values, codes)


def test_the_control_is_the_folded_auc_of_halves_of_patients() -> None:
    members = PatientScores(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    control = members_against_members(
        members, seed=0
    )  # each half is one patient: the images of the other are all above
    assert (control.value, control.low, control.high, control.n) == (1.0, 0.5, 1.0, 4)
    same = members_against_members(PatientScores(np.zeros(4), np.array([0, 0, 1, 1])), seed=0)
    assert (same.value, same.high) == (0.5, 0.5)


def test_few_patients_of_many_images_widen_the_control() -> None:
    few, many = (members_against_members(scores(patients, 20, 2.0), seed=0) for patients in (8, 200))
    assert few.high is not None
    assert many.high is not None
    assert few.high > 0.7 > 0.6 > many.high


def test_one_patient_has_no_halves() -> None:
    control = members_against_members(scores(1, 5, 1.0), seed=0)
    assert (control.value, control.reason) == (None, "halves need two patients")
    assert beside_control(Score(value=0.9), control).reason == "no control: halves need two patients"


def test_an_auc_that_is_not_above_its_control_says_so() -> None:
    control = Score(value=0.55, low=0.5, high=0.62)
    why = "no sign of membership: random halves of the training patients read up to 0.620"
    assert beside_control(Score(value=0.62), control).reason == why
    assert beside_control(Score(value=0.6, reason="few patients"), control).reason == f"few patients; {why}"
    assert beside_control(Score(value=0.6, low=0.49), control).reason == why
    assert beside_control(Score(value=0.6, low=0.51), control).reason == (
        "weak sign of membership: the interval is above 0.5, but random halves of the training patients, which are "
        "fewer, read up to 0.620"
    )
    assert beside_control(Score(value=0.621), control).reason == ""
    assert beside_control(Score(value=None, reason="no losses"), control).reason == "no losses"


@pytest.mark.parametrize(("shift", "found"), [(0.0, False), (3.0, True)])
def test_members_that_score_higher_are_told_from_those_that_only_vary(shift: float, found: bool) -> None:
    members, others = scores(30, 10, 1.0, shift=shift), scores(30, 10, 1.0, seed=1)
    control = members_against_members(members, seed=0)
    auc = beside_control(membership(members, others)["auc"], control)
    assert (auc.reason == "") is found


def test_train_cut_into_two_halves_reads_no_membership() -> None:
    """One half of the training patients as if it were held out: within the control in nearly all draws."""
    within = 0
    for seed in range(40):
        whole = scores(40, 10, 1.0, seed=seed)
        halves = [
            PatientScores(whole.values[whole.codes % 2 == side], whole.codes[whole.codes % 2 == side] // 2)
            for side in (0, 1)
        ]
        control = members_against_members(whole, seed=0)
        within += beside_control(membership(*halves)["auc"], control).reason != ""
    assert within >= 34
