"""The papers' rules: as written, and as biased as the research notes say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmark.metrics.copy_rate import PatientScores
from benchmark.metrics.published import BINS, akbar2025, dar2025


def rows(count: int, seed: int, dimension: int = 64) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def dar(train: np.ndarray, validation: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    found = dar2025(
        PatientScores.alone((train @ validation.T).max(axis=1)),
        PatientScores.alone((train @ synthetic.T).max(axis=1)),
        PatientScores.alone((synthetic @ train.T).max(axis=1)),
    )
    return {name.removeprefix("published.dar2025."): score.value or 0.0 for name, score in found.items()}


def test_by_hand() -> None:
    to_validation, to_synthetic = np.arange(101) / 100, np.arange(101) / 200 + 0.5
    found = dar2025(
        PatientScores.alone(to_validation),
        PatientScores.alone(to_synthetic),
        PatientScores.alone(np.array([0.1, 0.96, 0.99])),
    )
    values = {name.rpartition(".")[2]: score.value for name, score in found.items()}
    assert values["tau"] == pytest.approx(0.95)
    assert values["n_mem"] == pytest.approx((to_synthetic > 0.95).mean())
    assert values["n_copies"] == pytest.approx(2 / 3)


def test_no_memorisation_reads_the_bias() -> None:
    """Isotropic items are all equally typical: both rules read 1 - 0.95^(600 / 150) within 2 points, not 0."""
    drawn = [dar(rows(600, 3 * s), rows(150, 3 * s + 1), rows(600, 3 * s + 2)) for s in range(8)]
    for name in ("n_mem", "n_copies"):
        assert np.mean([one[name] for one in drawn]) == pytest.approx(1 - 0.95**4, abs=0.02)
        assert np.mean([one[name] for one in drawn]) > 0.15


def test_members_and_synthetic_are_not_exchanged() -> None:
    """Ten synthetic copies of one patient: many copies, one memorised."""
    train, validation = rows(200, 0), rows(200, 1)
    synthetic = np.concatenate([np.repeat(train[:1], 10, axis=0), rows(90, 2)])
    found = dar(train, validation, synthetic)
    assert found["n_copies"] >= 0.1
    assert found["n_mem"] < 0.1
    swapped = dar(synthetic, validation, train)
    assert swapped["n_mem"] > swapped["n_copies"]


def test_intervals_hold_the_value() -> None:
    train, validation, synthetic = rows(200, 0), rows(80, 1), rows(120, 2)
    for score in dar2025(
        PatientScores.alone((train @ validation.T).max(axis=1)),
        PatientScores.alone((train @ synthetic.T).max(axis=1)),
        PatientScores.alone((synthetic @ train.T).max(axis=1)),
    ).values():
        assert score.low is not None
        assert score.high is not None
        assert score.value is not None
        assert score.low <= score.value <= score.high


def test_akbar() -> None:
    values = np.random.default_rng(0).uniform(-0.2, 0.9, 500)
    found = akbar2025(PatientScores.alone(values))
    assert found.scores["mean"].value == pytest.approx(values.mean())
    assert found.scores["max"].value == values.max()
    assert found.scores["q95"].value == pytest.approx(np.quantile(values, 0.95))
    assert len(found.counts) == len(BINS) - 1
    assert sum(found.counts) == 500
    slow = [int(((values >= low) & (values < high)).sum()) for low, high in itertools.pairwise(BINS)]
    assert list(found.counts) == slow


def test_a_correlation_beyond_one_by_rounding_is_counted() -> None:
    assert akbar2025(PatientScores.alone(np.array([1.0 + 1e-9, 1.0]))).counts[-1] == 2
