"""What thresholds and intervals of shares promise, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.bootstrap import share_interval
from benchmark.metrics.calibration import conformal_quantile

DRAWS = 200


def slices(rng: np.random.Generator, patients: int, each: int) -> np.ndarray:
    """Values of patients' slices, which are nearly alike within a patient."""
    return np.asarray(np.repeat(rng.standard_normal(patients), each) + 0.2 * rng.standard_normal(patients * each))


@pytest.mark.parametrize("each", [1, 20])
@pytest.mark.parametrize(("calibration", "test"), [(50, 50), (50, 5000), (250, 100), (5000, 5000), (1000, 60)])
def test_a_new_patient_is_flagged_in_one_of_twenty_cases(calibration: int, test: int, each: int) -> None:
    patients, queries = max(20, calibration // each), max(1, test // each)
    rng, rates = np.random.default_rng(calibration + test + each), []
    for _ in range(DRAWS):
        tau = conformal_quantile(slices(rng, patients, each), np.repeat(np.arange(patients), each))
        rates.append((slices(rng, queries, each) > tau).mean())
    error = np.std(rates) / DRAWS**0.5
    assert np.mean(rates) <= 0.05 + 3 * error
    assert np.mean(rates) >= 0.05 - 1 / (patients + 1) - 3 * error  # and not by flagging nobody


def test_slices_taken_for_patients_flag_too_many() -> None:
    """Slices of 8 patients counted as patients of their own: the promise breaks."""
    rng, rates = np.random.default_rng(0), []
    for _ in range(DRAWS):
        tau = conformal_quantile(slices(rng, 8, 50), np.arange(400))
        rates.append((slices(rng, 100, 50) > tau).mean())
    assert np.mean(rates) > 0.08


@pytest.mark.parametrize("n", [1, 30, 3000])
def test_none_of_n_has_the_exact_upper_bound(n: int) -> None:
    """Clopper-Pearson for 0 of n: (1 - high)^n = 0.025."""
    low, high = share_interval(lambda rng: 0.0, 0.0, seed=0, patients=n)
    assert low == 0
    assert (1 - high) ** n == pytest.approx(0.025)
    low, high = share_interval(lambda rng: 1.0, 1.0, seed=0, patients=n)
    assert high == 1
    assert low**n == pytest.approx(0.025)
