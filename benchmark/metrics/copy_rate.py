"""Shares above a threshold that held-out patients calibrate: copy rate, memorised share, and their nulls.

`copies.rate` / `copies.null`: synthetic items / items of test patients whose nearest training item is nearer than that
of 95 % of calibration items. `members.share` / `members.null`: training items / test items whose nearest synthetic item
is nearer than that of 95 % of calibration items. The null of a sound threshold is about 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score
from benchmark.metrics.bootstrap import percentile_interval, resample_patients, share_interval
from benchmark.metrics.calibration import CONFORMAL_PATIENTS, auc, conformal_quantile, patient_share, tpr_at_fpr

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmark.core.types import Direction

    Floats = NDArray[np.floating]
    Codes = NDArray[np.int64]


RESAMPLES = 200
"""Resamples of thresholds and areas, which sort all values each time."""


@dataclass(frozen=True)
class PatientScores:
    """Similarities of items, (N,), and the patient of each, (N,); synthetic items count as one patient each."""

    values: Floats
    codes: Codes

    @classmethod
    def alone(cls, values: Floats) -> PatientScores:
        """Return the scores (N,) of items without patients, such as synthetic ones."""
        return cls(values, np.arange(len(values)))

    @property
    def patients(self) -> int:
        """Number of patients, or of items without patients."""
        return int(self.codes.max()) + 1

    def resample(self, rng: Generator) -> PatientScores:
        """Draw patients with replacement."""
        index, codes = resample_patients(self.codes, rng)
        return PatientScores(self.values[index], codes)


def threshold(calibration: PatientScores) -> Score:
    """Return the 0.95 conformal quantile with its interval over calibration patients."""
    value = conformal_quantile(calibration.values, calibration.codes)

    def once(rng: Generator) -> float:
        drawn = calibration.resample(rng)
        return conformal_quantile(drawn.values, drawn.codes)

    low, high = percentile_interval(once, value, resamples=RESAMPLES)
    few = calibration.patients < CONFORMAL_PATIENTS
    reason = f"{calibration.patients} calibration patients; {CONFORMAL_PATIENTS} are needed for the 5 % guarantee"
    return Score(value=value, low=low, high=high, n=calibration.patients, reason=reason if few else "")


def share_above(queries: PatientScores, calibration: PatientScores, *, direction: Direction = "lower") -> Score:
    """Return the share of queries above the calibration quantile; both sides are resampled by patient."""
    tau = conformal_quantile(calibration.values, calibration.codes)
    value = patient_share(queries.values > tau, queries.codes)

    def once(rng: Generator) -> float:
        drawn, reference = queries.resample(rng), calibration.resample(rng)
        return patient_share(drawn.values > conformal_quantile(reference.values, reference.codes), drawn.codes)

    low, high = share_interval(once, value, seed=0, patients=queries.patients)
    return Score(value=value, low=low, high=high, n=len(queries.values), direction=direction)


def membership(members: PatientScores, others: PatientScores) -> dict[str, Score]:
    """Return AUC and TPR at 1 % FPR of training items against held-out items (0.5 and 0.01 without memorisation)."""
    rules: dict[str, Callable[[Floats, Floats], float]] = {"auc": auc, "tpr_at_1_fpr": tpr_at_fpr}
    return {name: _separation(rule, members, others) for name, rule in rules.items()}


def _separation(rule: Callable[[Floats, Floats], float], members: PatientScores, others: PatientScores) -> Score:
    value = rule(members.values, others.values)

    def once(rng: Generator) -> float:
        return rule(members.resample(rng).values, others.resample(rng).values)

    low, high = percentile_interval(once, value, resamples=RESAMPLES)
    return Score(value=value, low=low, high=high, n=len(members.values) + len(others.values), direction="lower")
