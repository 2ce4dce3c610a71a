"""Members against members: what a membership attack reads where nothing is to be found.

Some attacks score one half of the members above the other. An AUC of members against others means membership only as
far as it is above that. Patients are dealt into two halves at random, many times; each AUC is folded, max(a, 1 - a),
because the halves have no order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.calibration import auc

if TYPE_CHECKING:
    from benchmark.metrics.copy_rate import PatientScores

HALVES = 200


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
