"""The law of chance in a competition of patients: a random order of training and held-out patients, read from the top.

If nobody was copied, every order of the T training and H held-out patients is equally likely. K_x is how many training
patients come before the x-th held-out one: negative hypergeometric, exactly. Any given beginning with k training and j
held-out patients has the same probability C(T + H - k - j, T - k) / C(T + H, T), so all probabilities below are
numbers of paths on a grid, times that one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SLACK = 1e-12
"""Rounding that two probabilities may differ by: 1 / 40 spent on an event of probability 1 / 40 is within its level."""


def _log_choose(n: Floats | int, k: Floats | int) -> Floats:
    return np.asarray(gammaln(np.add(n, 1)) - gammaln(np.add(k, 1)) - gammaln(np.subtract(n, k) + 1))


def _log_prefix(train: int, heldout: int, k: Floats | int, j: int) -> Floats:
    """Log probability that an order begins with one given sequence of k training and j held-out patients."""
    k = np.asarray(k, dtype=np.float64)
    return _log_choose(train + heldout - k - j, train - k) - _log_choose(train + heldout, train)


@lru_cache(maxsize=1024)
def _pmf(train: int, heldout: int, x: int) -> Floats:
    k = np.arange(train + 1, dtype=np.float64)
    logs = _log_choose(k + x - 1, k) + _log_prefix(train, heldout, k, x - 1)
    return np.asarray(np.exp(logs) * (heldout - x + 1) / (train + heldout - k - x + 1))


def pmf(train: int, heldout: int, x: int) -> Floats:
    """P(K_x = k) for k = 0 .. train, (train + 1,): training patients before the x-th held-out one, 1 <= x <= heldout.

    The same as `scipy.stats.nhypergeom(train + heldout, train, x).pmf`.
    """
    if not 1 <= x <= heldout:
        raise ValueError(f"there is no held-out patient number {x} among {heldout}")
    return _pmf(train, heldout, x).copy()


def upper(train: int, heldout: int, x: int, error: float) -> int:
    """Return the smallest q with P(K_x > q) <= error; where x > heldout no such patient comes: `train`."""
    if x > heldout:
        return train
    beyond = np.cumsum(_pmf(train, heldout, x)[::-1])[::-1]  # P(K >= k): summed from the small end
    return int(np.count_nonzero(beyond > error + SLACK)) - 1


def lower(train: int, heldout: int, x: int, error: float) -> int:
    """Return the largest q with P(K_x < q) <= error; 0 where x > heldout."""
    if x > heldout:
        return 0
    upto = np.cumsum(_pmf(train, heldout, x))  # P(K <= k) = P(K < k + 1)
    return min(int(np.count_nonzero(upto <= error + SLACK)), train)


def mean(train: int, heldout: int, x: int) -> float:
    """Mean of K_x."""
    return x * train / (heldout + 1)


@lru_cache(maxsize=1024)
def boundary(train: int, heldout: int, spending: tuple[float, ...]) -> tuple[int, ...]:
    """Return q_1 .. q_X so that P(K_x > q_x for any x) <= spending[-1], exactly.

    Args:
        train: T, at least 0.
        heldout: H, at least 0.
        spending: cumulated errors for x = 1 .. X, not falling. q_x is the smallest that keeps the probability to have
            crossed at 1 .. x within spending[x - 1]; what an integer q leaves unspent goes to the next x, as in
            group-sequential trials (Lan & DeMets 1983).

    One at a time the q_x would each hold at their level; together they must be wider. Where x > H there is nothing to
    cross: q_x = T.
    """
    bounds: list[int] = []
    for x, level in enumerate(spending, start=1):
        if x > heldout:
            bounds.append(train)
            continue
        least = bounds[-1] if bounds else 0
        passage = _first_passages(train, heldout, (*bounds, train))[-1][least:]
        # From q_(x - 1) on the probability to step over q for the first time falls with q.
        bounds.append(least + int(np.count_nonzero(passage > level - crossing(train, heldout, tuple(bounds)) + SLACK)))
    return tuple(bounds)


def crossing(train: int, heldout: int, bounds: tuple[int, ...], *, exposed: int = 0) -> float:
    """P(exposed + K_x > bounds[x - 1] for any x), K_x of train - exposed and heldout patients.

    With exposed = 0 it is the error of the bounds; otherwise their power when so many training patients were copied and
    come before everybody else.
    """
    left = tuple(bound - exposed for bound in bounds[:heldout])
    if any(bound < 0 for bound in left):
        return 1.0
    passages = _first_passages(train - exposed, heldout, left)
    return float(sum(p[q] for p, q in zip(passages, left, strict=True)))


def _first_passages(train: int, heldout: int, bounds: tuple[int, ...]) -> list[Floats]:
    """For each x: P(k training patients, x - 1 held-out ones, then a training one, crossing nowhere before), (T + 1,).

    Entry k of item x is read at k = bounds[x - 1]: the path's step over that bound.
    """
    paths = np.zeros(train + 1)
    paths[0] = 1.0  # of the empty beginning
    passages = []
    for j, bound in enumerate(bounds):
        paths = np.cumsum(paths)  # all ways to reach (k, j) that step to j held-out patients at some k' <= k
        step = np.arange(1.0, train + 1)
        chance = np.append(np.exp(np.log(paths[:-1]) + _log_prefix(train, heldout, step, j)), 0.0)
        passages.append(chance)
        paths = np.where(np.arange(train + 1) <= bound, paths, 0.0)
    return passages
