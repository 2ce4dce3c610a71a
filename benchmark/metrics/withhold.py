"""Which samples to withhold before release, each with its reason; and how many of them may be there by chance.

`verbatim`: nearer to a training image than half of the least distance between two real images of different patients.
By the triangle inequality such a sample is that near to one patient only: it is that patient's image. The whole
distance, not half of it, would flag blurred images of nobody: they are near to everybody.

`nearest`: more similar to a training patient than the best pair of a sample and a held-out patient, which shows how
similar chance makes them. This is the competition at x = 1, so chance puts K_1 training patients there, T / (H + 1) in
expectation; no list of whom a model has copied can do without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics import negative_hypergeometric as chance
from benchmark.metrics.competition import SPENDING, points, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.metrics.competition import Nearest, Point

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.int64]

FRACTION = 0.5
"""Share of the least distance between images of different patients."""
IDENTICAL = 1 - 1e-6
"""Two images of this similarity are one image under two patient names: no measure of how alike patients are."""
ALIKE = 0.01
"""Share of patients that may have another name in the cohort before the test of held-out patients loses power."""
FALSE_ERROR = 0.05


def verbatim_level(between_patients: Floats, fraction: float = FRACTION) -> float:
    """Return the similarity above which a sample is verbatim.

    Args:
        between_patients: (M,) similarity of each real image, of both sides, to its nearest image of another patient.
        fraction: of the least distance between different patients.

    Similarities are cosines or correlations: distance^2 = 2 - 2 s of unit rows. Identical images under two patient
    names are left out; where nothing else is there, only identical images are verbatim.
    """
    different = between_patients[between_patients < IDENTICAL]
    greatest = float(different.max()) if len(different) else 1.0
    return min(1 - fraction**2 * (1 - greatest), IDENTICAL)


def robust_level(between_patients: Floats, units: Codes) -> float:
    """Return `verbatim_level` without the patients that are most alike: for the test of held-out patients.

    Args:
        between_patients: as `verbatim_level`.
        units: (M,) patient of each, from 0.

    One patient under two names, in images that are not identical, brings the greatest similarity near 1: then no sample
    is verbatim, and a model that has seen everybody is not refused. So 1 % of the patients are left out, one pair at
    least. A sample above this level may be near to two of those left out: that is why two held-out patients are needed
    for a refusal, and why the list to withhold does not use it.
    """
    alike = np.full(int(units.max()) + 1, -np.inf)
    different = between_patients < IDENTICAL
    np.maximum.at(alike, units[different], between_patients[different])
    falling = -np.sort(-alike[np.isfinite(alike)])
    return verbatim_level(falling[max(2, int(ALIKE * len(alike))) :])


def verbatim(similarity: Floats, level: float) -> Flags:
    """Tell which samples (N,), by their greatest similarity to a training image, are verbatim copies."""
    return np.asarray(similarity > level)


@dataclass(frozen=True)
class Withheld:
    """The list."""

    nearest: Flags
    """(N,) more similar to a training patient than any sample is to a held-out patient that it is nearest to (or, where
    that leaves out patients that are shown to be copied, than all but one or two such patients)."""
    verbatim: Flags
    """(N,)."""
    patients: int
    """Training patients whose copies `nearest` lists."""
    false_patients: int
    """At most so many of them are there by chance, with 95 %."""
    false_samples: int
    """And at most so many of the samples of `nearest`."""
    expected_false_patients: float
    """On average, if nobody was copied."""

    @property
    def any(self) -> Flags:
        """(N,) what to withhold."""
        return np.asarray(self.nearest | self.verbatim)

    def reasons(self) -> list[str]:
        """Say why, per sample; empty for what may be released."""
        words = {(False, False): "", (True, False): "nearest", (False, True): "verbatim", (True, True): "verbatim"}
        return [words[n, v] for n, v in zip(self.nearest.tolist(), self.verbatim.tolist(), strict=True)]


def withhold(nearest: Nearest, train_similarity: Floats, level: float, *, comparable: int | None = None) -> Withheld:
    """List the samples to withhold.

    Args:
        nearest: the nearest patient of each sample.
        train_similarity: (N,) of each sample to its nearest training image.
        level: above it a sample is verbatim (`verbatim_level`).
        comparable: held-out patients that bound what chance lists, where not all of them do: those whose captions were
            prompts. The bound then takes a patient who was asked for to be no farther from the samples than others.

    The list ends at the first held-out patient, or at the second or third where the first leaves out patients that are
    shown to be copied. Without held-out patients among the nearest, every sample that is nearest to a training patient
    is listed.
    """
    heldout = nearest.heldout if comparable is None else comparable
    point, bound = _reading(nearest, heldout)
    order = walk(nearest)
    end = order.heldout[point.x - 1] if len(order.heldout) >= point.x else len(order.patients)
    to_listed = np.isin(nearest.patient, order.patients[:end][order.patients[:end] < nearest.train])
    listed = to_listed & (nearest.similarity >= (point.threshold if point.threshold is not None else -np.inf))
    most = min(bound, point.passed)
    return Withheld(
        nearest=np.asarray(listed),
        verbatim=verbatim(train_similarity, level),
        patients=point.passed,
        false_patients=most,
        false_samples=int(point.clusters[:most].sum()),
        expected_false_patients=chance.mean(nearest.train, heldout, point.x),
    )


def _reading(nearest: Nearest, heldout: int) -> tuple[Point, int]:
    """Return the first x at which the list has as many patients as are shown to be copied, and how many chance adds.

    It is 1 but where a sample near a held-out patient ends the list above the copies: a near duplicate of a training
    patient under another name does. Nothing of what is shown to be copied may be released. The bounds q_2 and q_3 hold
    together with q_1, and add 0.5 % to the error of the bound at x = 1.
    """
    bounds = chance.boundary(nearest.train, heldout, SPENDING)
    readings = points(nearest, list(range(1, len(bounds) + 1)))
    shown = max(0, *(point.passed - bound for point, bound in zip(readings, bounds, strict=True)))
    point = next(one for one in readings if one.passed >= shown)
    first = chance.upper(nearest.train, heldout, 1, FALSE_ERROR)
    return point, first if point.x == 1 else bounds[point.x - 1]
