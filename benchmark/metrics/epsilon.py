"""A lower bound on the privacy loss epsilon from one training (Steinke, Nasr & Jagielski 2023, 2305.08846).

The split has randomised who was trained on. Training and held-out patients are paired at random; given the pairs, which
of the two was trained on is a fair coin, independent between pairs, because every split of the same sizes was equally
likely. (The coins of single patients are not independent: their number is fixed.) A guess names the patient with the
greater score; the most confident pairs are guessed. If training is epsilon-differentially private for replacing one
patient by another, the right guesses among r are stochastically at most Binomial(r, e^epsilon / (1 + e^epsilon))
(their theorem 5.2, delta = 0): a Clopper-Pearson bound on that probability bounds epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.bootstrap import clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]

FEWEST = 5
"""Fewest guesses that are tried: fewer can show no epsilon above 0 at these errors."""


@dataclass(frozen=True)
class PrivacyLoss:
    """What was guessed, and what it shows."""

    epsilon: float
    """Lower bound with 95 % confidence; 0 shows nothing. It says nothing of how large epsilon is."""
    guesses: int
    """r, of the number of guesses that gives the bound."""
    right: int
    """v, how many of them were right."""
    pairs: int
    """m, pairs of patients."""


def privacy_loss(train_scores: Floats, heldout_scores: Floats, *, seed: int, error: float = 0.05) -> PrivacyLoss:
    """Bound epsilon from below.

    Args:
        train_scores: (T,) how near the release comes to each training patient; greater is nearer.
        heldout_scores: (H,) the same of held-out patients; the score must not know the side.
        seed: of the pairing and of ties.
        error: probability that the bound is too high.

    r is m, m / 2, m / 4 ... down to FEWEST, each with its part of the error (Bonferroni): fixed before looking. Of the
    larger side only as many patients as the smaller has are used. The bound is for replacing one patient; for adding or
    removing one it is half of it.
    """
    return loss_of_guesses(right_guesses(train_scores, heldout_scores, seed=seed), error=error)


def right_guesses(train_scores: Floats, heldout_scores: Floats, *, seed: int) -> Flags:
    """Return which guesses are right, (m,), the most confident first; arguments as of `privacy_loss`."""
    pairs = min(len(train_scores), len(heldout_scores))
    rng = np.random.default_rng([seed, len(train_scores), len(heldout_scores)])
    member, other = (rng.permutation(scores)[:pairs] for scores in (train_scores, heldout_scores))
    coins = rng.random(pairs) < 0.5
    right = np.where(member == other, coins, member > other)
    return np.asarray(right[np.lexsort((rng.random(pairs), -np.abs(member - other)))])


def loss_of_guesses(right: Flags, *, error: float = 0.05) -> PrivacyLoss:
    """Bound epsilon from guesses (m,), the most confident first, of which only the sums at `numbers` matter."""
    pairs, hits, tried = len(right), np.cumsum(right), numbers(len(right))
    best = PrivacyLoss(0.0, pairs, int(hits[-1]) if pairs else 0, pairs)
    for guesses in tried:
        v = int(hits[guesses - 1])
        epsilon = _logit(clopper_pearson(v, guesses, 2 * error / len(tried))[0])
        if epsilon > best.epsilon:
            best = PrivacyLoss(epsilon, guesses, v, pairs)
    return best


def numbers(pairs: int) -> list[int]:
    """Return the numbers of guesses that are tried with so many pairs, the greatest first."""
    counts = []
    while pairs >= FEWEST:
        counts.append(pairs)
        pairs //= 2
    return counts


def _logit(share: float) -> float:
    return max(0.0, float(np.log(share) - np.log1p(-share))) if 0 < share < 1 else 0.0
