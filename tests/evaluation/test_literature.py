"""Secondary metrics: that each number is asked of the right sets."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.core.types import Score, Split, join_splits, patient_codes
from benchmark.detectors.bank import Bank
from benchmark.evaluation.literature import Searched, correlations, secondary_scores
from benchmark.evaluation.resumable_search import Searching
from benchmark.metrics.copy_rate import PatientScores
from benchmark.search import Rows, nearest

TRAIN, CALIBRATION, TEST, DIMENSION = 200, 120, 80, 10
NAMES = ("dcr_share", "ratio_share", "ratio_median", "calibrated_l2", "auth_share", "m3_share", "c_t", "c_t_swapped")


def unit(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


REAL = unit(TRAIN + CALIBRATION + TEST, 0)


def bank() -> Bank:
    parts, first = [], 0
    for name, count in (("train", TRAIN), ("calibration", CALIBRATION), ("test", TEST)):
        rows = np.arange(first, first + count)
        subjects = tuple(f"p{row // 2}" for row in rows)
        items = tuple(f"i{row}" for row in rows)
        pixels = REAL[:, None, None]
        parts.append(Split(name=name, pixels=pixels, rows=rows, subjects=subjects, items=items, channels=("x",)))
        first += count
    return Bank(join_splits("real", *parts), Rows.of(REAL), TRAIN, CALIBRATION)


def scored(synthetic: np.ndarray) -> dict[str, Score]:
    real = bank()
    to_synthetic = nearest(real.rows, Rows.of(synthetic)).similarity
    test = nearest(real.part("test"), real.part("train")).similarity
    codes = patient_codes(real.real.subjects[TRAIN + CALIBRATION :])
    heldout = Rows.of(REAL[TRAIN:])
    found = Searched(
        nearest(Rows.of(synthetic), real.part("train")),
        nearest(Rows.of(synthetic), heldout),
        PatientScores(test, codes),
        to_synthetic,
    )
    return correlations(found)[0] | secondary_scores(real, Rows.of(synthetic), found, seed=0, searching=Searching())


def value(scores: dict[str, Score], name: str) -> float:
    found = scores[name].value
    assert found is not None
    return found


FRESH, COPIES = scored(unit(150, 9)), scored(REAL[:150])


@pytest.mark.parametrize("scores", [FRESH, COPIES])
def test_every_neighbour_metric_stands_beside_its_null(scores: dict[str, Score]) -> None:
    for name in NAMES:
        assert scores[f"neighbours.{name}"].n == (TRAIN if name == "c_t_swapped" else 150)
        assert scores[f"neighbours.{name}_null"].n == TEST
    for name in ("dcr_share", "auth_share", "m3_share", "ratio_median", "calibrated_l2", "c_t"):
        assert scores[f"neighbours.{name}_null"] == FRESH[f"neighbours.{name}_null"]


def test_fresh_items_read_like_test_patients() -> None:
    for name, tolerance in (("dcr_share", 0.15), ("ratio_share", 0.02), ("auth_share", 0.15), ("m3_share", 0.15)):
        assert value(FRESH, f"neighbours.{name}") == pytest.approx(
            value(FRESH, f"neighbours.{name}_null"), abs=tolerance
        )
    assert abs(value(FRESH, "neighbours.c_t")) < 3


def test_copies_read_like_copies() -> None:
    assert value(COPIES, "neighbours.ratio_share") == pytest.approx(1)
    assert value(COPIES, "neighbours.auth_share") == 0
    assert value(COPIES, "neighbours.dcr_share") > 0.75  # half of the train items are in the equal part
    assert value(COPIES, "neighbours.c_t") < -8
    assert value(COPIES, "neighbours.c_t_swapped") < -5
    assert value(COPIES, "published.dar2025.n_copies") == 1
    assert 0.75 <= value(COPIES, "published.dar2025.n_mem") < 0.85  # 150 of 200 items were copied, chance finds a few


def test_dar2025_is_of_the_right_sets() -> None:
    """tau of training items against calibration; test patients in the place of training and of synthetic items."""
    synthetic = unit(150, 9)
    train, calibration, test = REAL[:TRAIN], REAL[TRAIN : TRAIN + CALIBRATION], REAL[TRAIN + CALIBRATION :]
    tau = np.quantile((train @ calibration.T).max(axis=1), 0.95)
    expected = {
        "n_mem": (train @ synthetic.T).max(axis=1) > tau,
        "n_copies": (synthetic @ train.T).max(axis=1) > tau,
        "n_mem_test": (test @ synthetic.T).max(axis=1) > tau,
        "n_copies_test": (test @ train.T).max(axis=1) > tau,
    }
    for name, above in expected.items():
        assert value(FRESH, f"published.dar2025.{name}") == pytest.approx(above.mean())
    assert len({int(above.sum()) for above in expected.values()}) > 1


def test_correlations_are_of_the_three_searches() -> None:
    synthetic = unit(150, 9)
    expected = {
        "": (synthetic @ REAL[:TRAIN].T).max(axis=1),
        "_test": (REAL[TRAIN + CALIBRATION :] @ REAL[:TRAIN].T).max(axis=1),
        "_heldout": (synthetic @ REAL[TRAIN:].T).max(axis=1),
    }
    for ending, values in expected.items():
        assert value(FRESH, f"published.akbar2025.mean{ending}") == pytest.approx(values.mean(), abs=1e-6)
        assert value(FRESH, f"published.akbar2025.max{ending}") == pytest.approx(values.max(), abs=1e-6)
