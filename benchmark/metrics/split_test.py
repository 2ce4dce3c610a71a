"""Is the split fair? Nearest-neighbour two-sample test of training against held-out patients.

The headline takes the patients' sides as drawn at random. Official, temporal and site splits are not: their held-out
patients differ from training patients, and a generator that copies nobody is nearer to train. If the sides are
exchangeable, an item's nearest items of other patients are on its own side as often as with sides permuted between
patients (Schilling 1986; Henze 1988). The permutation test is exact at any size: p counts the split itself (Phipson &
Smyth 2010).

The other tail is tested, too, at a tenth of the level: items whose nearest items are on the other side far too often
are images of the same patients under other names, second films or neighbouring slices. Copies of a training image then
resemble a held-out one as well, and are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Floats = NDArray[np.floating]

PERMUTATIONS = 999
LEVEL = 0.01
"""A split with a smaller or equal p-value is refused."""
MIXED_LEVEL = 0.001
"""A split whose sides are paired this unlikely by chance is refused: no permutation of 999 was as mixed."""
AT_ONCE = 200
ROUNDING = 1e-9
"""Sums that differ by less are ties, and count against the split's being unusual."""


@dataclass(frozen=True)
class SplitTest:
    """The test's answer."""

    p_value: float
    """At least 1 / (permutations + 1)."""
    same_side: float
    """Share of nearest items that are on the item's own side, patients weighing the same."""
    expected: float
    """Its mean with permuted sides."""
    mixed_p: float = 1.0
    """The same as `p_value` for the other tail: sides that are paired, such as by patients that are on both."""

    @property
    def fair(self) -> bool:
        """Whether the headline may be scored."""
        return self.p_value > LEVEL and not self.mixed

    @property
    def mixed(self) -> bool:
        """Whether patients of one side resemble those of the other more than their own, beyond chance."""
        return self.mixed_p <= MIXED_LEVEL


def split_test(
    neighbours: Codes, units: Codes, in_train: NDArray[np.bool_], *, seed: int, permutations: int = PERMUTATIONS
) -> SplitTest:
    """Test whether training and held-out patients look alike.

    Args:
        neighbours: (M,) or (M, k) positions of each real item's nearest items of other units, found among all real
            items without regard to their side; more than one has more power.
        units: (M,) what the split deals out whole, from 0: the patient, or the patients that it keeps together.
        in_train: (U,) side of each unit.
        seed: of the permutations.
        permutations: B.

    Raises ValueError where a neighbour is of the item's own unit: such pairs are on one side by construction.
    """
    near = neighbours.reshape(len(units), -1)
    theirs = units[near]
    if (theirs == units[:, None]).any():
        raise ValueError("a nearest item is of the same patient (or group of patients kept together) as the item")
    from scipy.sparse import coo_matrix

    count = len(in_train)
    weight = 1.0 / (np.bincount(units, minlength=count)[units] * near.shape[1] * len(np.unique(units)))
    entries = np.repeat(weight, near.shape[1])
    pairs = coo_matrix((entries, (np.repeat(units, near.shape[1]), theirs.ravel())), shape=(count, count)).tocsr()
    rng = np.random.default_rng([seed, count])
    sides = np.where(in_train, 1.0, -1.0)
    observed = float(_same(pairs, sides[:, None])[0])
    parts = [min(AT_ONCE, permutations - start) for start in range(0, permutations, AT_ONCE)]
    drawn = np.concatenate([_same(pairs, _permuted(rng, sides, size)) for size in parts])
    p_value = (1 + np.count_nonzero(drawn >= observed - ROUNDING)) / (permutations + 1)
    mixed_p = (1 + np.count_nonzero(drawn <= observed + ROUNDING)) / (permutations + 1)
    return SplitTest(float(p_value), observed, float(drawn.mean()), float(mixed_p))


def _permuted(rng: np.random.Generator, sides: Floats, size: int) -> Floats:
    return np.asarray(rng.permuted(np.repeat(sides[:, None], size, axis=1), axis=0))


def _same(pairs: object, sides: Floats) -> Floats:
    """Weighted share of pairs on one side, of B labellings (U, B) by 1 and -1: (1 + sum of w s s') / 2."""
    return np.asarray((1 + (sides * (pairs @ sides)).sum(axis=0)) / 2)  # type: ignore[operator]
