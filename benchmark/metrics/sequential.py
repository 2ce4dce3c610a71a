"""Levels for repeated looks at one training: how often "somebody is exposed" is said although nobody was copied.

The split is drawn once, so that all looks share its luck: their results depend on each other in an unknown way, and a
training that is looked at fifty times with 97.5 % intervals is accused far more often than in 2.5 % of splits. Each
look k gets a level of its own, and the levels of all looks sum to ERROR: by the union bound, whatever the dependence,
at most ERROR of the trainings that copy nobody have a single look whose lower end is above 0.

The levels follow from an error-spending function (Lan & DeMets 1983, Biometrika 70) of the number of looks, not of the
share of the training: it needs no plan of how many looks there will be. That holds for looks at any steps that were
chosen without regard to who is a training patient. Up to the first look that accuses, this is so; what comes after it
cannot add to the probability that there is one.
"""

from __future__ import annotations

from benchmark.metrics.competition import SPENDING

ERROR = SPENDING[-1]
"""Error of all looks together, one-sided: as much as one interval of the protocol has at its lower end."""
HALF = 20
"""After so many looks half of the error is spent. Early looks would otherwise take nearly all of it, and onsets late in
a training, where memorisation is expected, would need many more copied patients to be seen."""


def spent(looks: int) -> float:
    """Return the error that the first so many looks spend together: ERROR * k / (k + HALF), less than ERROR for any k.

    Args:
        looks: k, 0 or more.
    """
    return ERROR * looks / (looks + HALF)


def level(look: int) -> float:
    """Return the error of one look, counted from 1."""
    return spent(look) - spent(look - 1)


def spending_at(error: float) -> tuple[float, float, float]:
    """Scale the protocol's cumulated errors at the first three held-out patients to another total error."""
    return tuple(share * error / ERROR for share in SPENDING)  # type: ignore[return-value]
