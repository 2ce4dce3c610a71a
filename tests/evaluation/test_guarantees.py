"""What thresholds and p-values promise, by simulation: numbers of false flags, not of lines of code."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.metrics.calibration import benjamini_hochberg, conformal_quantile, interval
from benchmark.metrics.twin import maxima_of, p_values, plan
from benchmark.search import subject_maxima

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


# p-values of the items to withhold


def world(rng: np.random.Generator, blurred: bool, copies: int) -> tuple[np.ndarray, np.ndarray]:
    """p-values of 200 synthetic items, the first `copies` of which are copies, and whether each is one."""
    common, scale = np.full(24, 0.5), np.arange(1, 25) ** -0.5
    people = [np.repeat(common + rng.standard_normal((count, 24)) * scale, 2, axis=0) for count in (120, 80)]
    train, heldout = (items + 0.1 * rng.standard_normal(items.shape) for items in people)
    made = rng.standard_normal((200, 24)) * scale * (0.45 if blurred else 1) + common
    made[:copies] = train[rng.integers(0, len(train), copies)] + 0.01 * rng.standard_normal((copies, 24))

    def by_patient(bank: np.ndarray) -> np.ndarray:
        return subject_maxima(np.corrcoef(made, bank)[:200, 200:], np.repeat(np.arange(len(bank) // 2), 2))

    draws = plan(120, 80, seed=int(rng.integers(1 << 30)), replicates=1)
    return p_values(maxima_of(by_patient(train), by_patient(heldout), draws)), np.arange(200) < copies


@pytest.mark.parametrize("blurred", [False, True])
def test_p_values_are_no_smaller_than_chance(blurred: bool) -> None:
    rng = np.random.default_rng(1 + blurred)
    drawn = np.stack([world(rng, blurred, 0)[0] for _ in range(DRAWS)])
    for level in (0.01, 0.05, 0.2):
        shares = (drawn <= level).mean(axis=1)
        assert shares.mean() <= level + 3 * shares.std() / DRAWS**0.5


def test_withheld_items_are_mostly_copies() -> None:
    rng, wrong, found = np.random.default_rng(3), [], []
    for _ in range(DRAWS):
        p, copied = world(rng, False, 40)
        chosen = benjamini_hochberg(p, 0.10)
        wrong.append((chosen & ~copied).sum() / max(1, chosen.sum()))
        found.append((chosen & copied).sum() / 40)
    assert np.mean(wrong) <= 0.10 + 3 * np.std(wrong) / DRAWS**0.5
    assert np.mean(found) > 0.5


@pytest.mark.parametrize("n", [1, 30, 3000])
def test_none_of_n_has_the_exact_upper_bound(n: int) -> None:
    """Clopper-Pearson for 0 of n: (1 - high)^n = 0.025."""
    low, high = interval(lambda rng: 0.0, 0.0, seed=0, n=n)
    assert low == 0
    assert (1 - high) ** n == pytest.approx(0.025)
    low, high = interval(lambda rng: 1.0, 1.0, seed=0, n=n)
    assert high == 1
    assert low**n == pytest.approx(0.025)
