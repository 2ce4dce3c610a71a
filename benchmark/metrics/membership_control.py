"""Members against members: what a membership attack reads where nothing is to be found.

Some attacks score one half of the members above the other. An AUC of members against others means membership only as
far as it is above that. Patients are dealt into two halves at random, many times; each AUC is folded, max(a, 1 - a),
because the halves have no order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.calibration import auc

if TYPE_CHECKING:
    from benchmark.metrics.copy_rate import PatientScores

HALVES = 200
CHANCE = 0.5
"""The AUC of an attack that tells nothing."""


def members_against_members(members: PatientScores, *, seed: int) -> Score:
    """Return the mean folded AUC of random halves of the members' patients, and the 95 % quantile as its upper end.

    A membership AUC below the upper end is within what the attack reads between members.
    """
    if members.patients < 2:
        return Score(value=None, n=len(members.values), reason="halves need two patients")
    rng = np.random.default_rng([seed, members.patients])
    drawn = []
    for _ in range(HALVES):
        first = rng.permutation(members.patients)[: members.patients // 2]
        here = np.isin(members.codes, first)
        area = auc(members.values[here], members.values[~here])
        drawn.append(max(area, 1 - area))
    value, high = float(np.mean(drawn)), float(np.quantile(drawn, 0.95))
    return Score(value=value, low=0.5, high=max(value, high), n=len(members.values))


def beside_control(score: Score, control: Score) -> Score:
    """Return a membership AUC whose reason says so where it is not above its control, or where there is none.

    The control has no side on which 0.5 could be left: halves are random, so that only its upper end says how far an
    AUC strays between members. Halves are smaller than the two sides that the AUC compares, and stray farther: an AUC
    whose own interval is above 0.5 may be membership though it is below the control (27 to 40 % of simulated models
    with membership), and is not called none.
    """
    if score.value is None:
        return score
    if control.high is None:
        why = f"no control: {control.reason}"
    elif score.value <= control.high and score.low is not None and score.low > CHANCE:
        why = (
            f"weak sign of membership: the interval is above {CHANCE}, but random halves of the training patients, "
            f"which are fewer, read up to {control.high:.3f}"
        )
    elif score.value <= control.high:
        why = f"no sign of membership: random halves of the training patients read up to {control.high:.3f}"
    else:
        return score
    return replace(score, reason="; ".join(filter(None, (score.reason, why))))
