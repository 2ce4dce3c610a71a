"""Copies that passed the model's own autoencoder, planted in a run's evaluation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmark.core.errors import AdapterError
from benchmark.core.types import Cohort, Images, Score, Split
from benchmark.detectors.bank import bank_of
from benchmark.detectors.fitting import Fitted, rows_of
from benchmark.detectors.pixels import Pixels
from benchmark.evaluation.planted_recall import choose_planted, reconstructed
from benchmark.evaluation.protocol import evaluate
from benchmark.evaluation.resumable_search import Searching
from benchmark.images.planted_copies import PLANTED
from benchmark.records.board_rows import Row
from benchmark.records.columns import recalls
from benchmark.search import Rows

SIZES = {"train": 60, "calibration": 40, "test": 30}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    total = sum(SIZES.values())
    field = gaussian_filter(np.random.default_rng(0).standard_normal((total, 1, 16, 16)), (0, 0, 1.5, 1.5))
    pixels = np.clip(field / field.std() / 3, -1, 1).astype(np.float32)
    splits, first = [], 0
    for name, count in SIZES.items():
        rows = np.arange(first, first + count)
        names = tuple(f"p{row}" for row in rows)
        splits.append(Split(name=name, pixels=pixels, rows=rows, subjects=names, items=names, channels=("x",)))
        first += count
    return Cohort(name="toy", key="k" * 16, train=splits[0], calibration=splits[1], test=splits[2])


class Same:
    """An autoencoder that loses nothing."""

    def reconstruct(self, images: Images) -> Images:
        return images


class Flat:
    """An autoencoder that forgets who it was."""

    def reconstruct(self, images: Images) -> Images:
        return np.broadcast_to(images.mean(axis=0), images.shape)


class Drawn:
    """An encoder that draws from its distribution with torch's global generator."""

    def reconstruct(self, images: Images) -> Images:
        import torch

        return np.asarray(np.clip(images + 0.05 * torch.randn(images.shape).numpy(), -1, 1), dtype=np.float32)


class Returns:
    def __init__(self, given: np.ndarray) -> None:
        self.given = given

    def reconstruct(self, images: Images) -> Images:
        return self.given


class Refuses:
    def reconstruct(self, images: Images) -> Images:
        raise AdapterError("there is no decoder", "load the whole model")


def fitted(cohort: Cohort) -> Fitted:
    real = cohort.real
    return Fitted("pixels", Pixels(), real, rows_of(Pixels(), real), Path())


def scores(cohort: Cohort, folder: Path, autoencoder: object) -> dict[str, Score]:
    one = fitted(cohort)
    synthetic = Rows.of(one.detector.embed(cohort.test.images(slice(0, 20))), one.rows.similarity)
    return evaluate(
        one.detector, bank_of(cohort, one), synthetic, kept=folder, seed=0, searching=Searching(),
        advance=lambda *_, **__: None, autoencoder=autoencoder,  # type: ignore[arg-type]
    ).scores  # fmt: skip


NAMES = ("detector.recall.autoencoder", "detector.recall_headline.autoencoder")


def test_recall_after_the_autoencoder(cohort: Cohort, tmp_path: Path) -> None:
    same, flat, none = (scores(cohort, tmp_path, model) for model in (Same(), Flat(), None))
    assert [same[name] for name in NAMES] == [same[name.replace("autoencoder", "exact")] for name in NAMES]
    assert (same[NAMES[0]].value, same[NAMES[0]].n, same[NAMES[0]].direction) == (1, 60, "higher")
    assert flat[NAMES[0]].value == pytest.approx(0, abs=0.1)
    assert not set(NAMES) & set(none)
    others = {f"detector.recall.{name}" for name in PLANTED}
    assert {name: same[name] for name in others} == {name: none[name] for name in others}


def test_a_draw_is_by_seed(cohort: Cohort) -> None:
    bank = bank_of(cohort, fitted(cohort))
    planted = choose_planted(bank, seed=0)
    first, again, other = (reconstructed(Drawn(), bank, planted, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Returns(np.zeros((60, 1, 8, 8), np.float32)),
         "reconstruct returned samples of shape (60, 1, 8, 8) where (60, 1, 16, 16) were asked for"),
        (Returns(np.full((60, 1, 16, 16), np.nan, np.float32)), "reconstruct: sample 0 is not finite"),
        (Returns(np.full((60, 1, 16, 16), 3, np.float32)), "reconstruct returned values up to 3, outside [-1, 1]"),
        (Refuses(), "there is no decoder"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_reason(cohort: Cohort, tmp_path: Path, model: object, reason: str) -> None:
    found = scores(cohort, tmp_path, model)
    for name in NAMES:
        assert found[name] == Score(value=None, n=0, reason=f"no copies that passed the autoencoder: {reason}")
    assert found["detector.recall.exact"].value == 1  # the rest of the evaluation goes on


def test_means_over_transformations_leave_it_out() -> None:
    """Models without an autoencoder could not be compared with those that have one."""
    values = {"exact": 1.0, "flip": 0.5, "autoencoder": 0.0}
    record = SimpleNamespace(scores={f"detector.recall.{name}[copy]": Score(value=v) for name, v in values.items()})
    assert recalls(record, "copy") == {"exact": 1.0, "flip": 0.5}  # type: ignore[arg-type]
    assert Row((record,)).recalls("copy") == {"exact": 1.0, "flip": 0.5}  # type: ignore[arg-type]
