"""Exact copies only, few samples, few patients: a whole evaluation with exact bounds, and no crash."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmark.adapters.sampling import draw
from benchmark.core.files import read_json
from benchmark.core.types import Budget, Cohort, Split
from benchmark.detectors.registry import choose
from benchmark.evaluation.run_evaluation import evaluate_run
from benchmark.models.copycat.adapter import Copycat


def noise_cohort(train: int, calibration: int, test: int) -> Cohort:
    """Patients of two images of white noise each."""
    pixels = np.random.default_rng(0).integers(0, 256, (2 * (train + calibration + test), 1, 16, 16)).astype(np.uint8)
    splits, row = {}, 0
    for name, patients in (("train", train), ("calibration", calibration), ("test", test)):
        rows = np.arange(row, row + 2 * patients)
        subjects = tuple(f"p{place // 2}" for place in rows)
        splits[name] = Split(
            name=name, pixels=pixels, rows=rows, subjects=subjects, items=tuple(f"i{place}" for place in rows),
            channels=("x",), units=subjects,
        )  # fmt: skip
        row += 2 * patients
    return Cohort(name="noise", key="k" * 16, **splits)


@pytest.mark.parametrize("patients", [(30, 15, 15), (3, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_copies_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: tuple[int, int, int], count: int
) -> None:
    monkeypatch.setattr("benchmark.evaluation.figures.draw_figures", lambda *_: None)
    cohort, model = noise_cohort(*patients), Copycat(contamination=1.0)
    model.fit(cohort.train, folder=tmp_path, budget=Budget(), seed=0, device="cpu")
    draw(model, count, cohort.train, folder=tmp_path / "samples", seed=0, name="copycat")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # a root of a negative variance, a mean of nothing
        evaluate_run(
            cohort, tmp_path, [choose("pixels")], model, count=count, cache=tmp_path / "cache", device="cpu",
            search_memory=2**28, log=lambda _: None,
        )  # fmt: skip
    scores = read_json(tmp_path / "evaluation.json")["scores"]
    rate = scores["copies.rate[pixels]"]
    assert rate["value"] == rate["high"] == 1.0
    assert rate["low"] == pytest.approx(0.025 ** (1 / count))  # Clopper and Pearson 1934
    assert scores["exposed.verbatim[pixels]"]["value"] == scores["withheld.items[pixels]"]["value"] == count
    headline = scores["exposed.patients[pixels]"]
    if headline["value"] is None:
        assert headline["reason"].startswith("cannot tell: ")
    else:
        assert headline["low"] <= headline["value"] <= headline["high"] <= patients[0]
    assert not [name for name, score in scores.items() if "finite" in score["reason"]]
    for score in scores.values():
        ends = [end for end in (score["low"], score["value"], score["high"]) if end is not None]
        assert ends == sorted(ends)
