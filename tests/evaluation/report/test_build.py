"""A report's input from a real outcome: the numbers, suspects and images are those of the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core.types import Score, Split
from benchmark.detectors.bank import Bank
from benchmark.detectors.fitting import Fitted
from benchmark.evaluation.exposure import possible_for, possible_scores
from benchmark.evaluation.protocol import Outcome, evaluate
from benchmark.evaluation.report.build import _detector, report_images, report_input
from benchmark.evaluation.report.data import ReportInput
from benchmark.evaluation.report.page import write_report
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.suspects import FullSize, list_suspects
from benchmark.evaluation.verdict import judge
from benchmark.images.planted_copies import CLAIMED_AS

World = Any  # of tests/evaluation/conftest.py: a cohort, samples, and the similarities of all pairs
NAME = "pixels"


@pytest.fixture(scope="module")
def outcome(fitted: Fitted, bank: Bank, world: World, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.evaluation.protocol.secondary_scores", lambda *_, **__: {})
        return evaluate(
            fitted.detector, bank, fitted.embed(world.samples), kept=tmp_path_factory.mktemp("kept"), seed=0,
            searching=Searching(), advance=lambda *_, **__: None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def full_size(world: World) -> FullSize:
    real = world.cohort.real
    return FullSize(lambda number: world.samples.pixels[number, 0], lambda row: real.stored([row])[0, 0])


@pytest.fixture(scope="module")
def report(outcome: Outcome, world: World, full_size: FullSize) -> ReportInput:
    cohort, count = world.cohort, len(world.samples)
    synthetic = Split(
        name="synthetic", pixels=world.samples.pixels, rows=np.arange(count), subjects=("",) * count,
        items=tuple(f"s{number}" for number in range(count)), channels=("x",),
    )  # fmt: skip
    suspects = list_suspects({NAME: outcome.matches}, synthetic, cohort.real, full_size)
    possible = possible_scores(possible_for(cohort, count))
    verdict = judge(
        {NAME: outcome.scores}, possible["detectable.share"], samples=count, suspects=len(suspects), must_see=0.01
    )
    return report_input(
        title="t", date="2026-11-27", protocol="p2", verdict=verdict, outcomes={NAME: outcome}, suspects=suspects,
        cohort=cohort, samples=count, possible=possible, facts={"seed": "0"},
    )  # fmt: skip


def test_numbers_are_those_of_the_outcome(report: ReportInput, outcome: Outcome) -> None:
    (one,) = report.detectors
    assert one.scores == outcome.scores
    assert one.engine == outcome.engine
    assert {histogram.name: histogram.counts for histogram in one.histograms} == {
        "synthetic-to-train": outcome.histograms["published.akbar2025"],
        "test-to-train": outcome.histograms["published.akbar2025_test"],
        "synthetic-to-heldout": outcome.histograms["published.akbar2025_heldout"],
    }
    assert [point.threshold for point in one.curve] == [row["threshold"] for row in outcome.curve]
    assert [point.high for point in one.curve] == [row["patients"]["high"] for row in outcome.curve]


def test_groups_count_images_and_patients(report: ReportInput, world: World) -> None:
    cohort = world.cohort
    train, heldout = (
        (group.images, group.patients) for name in ("training", "held-out") if (group := report.group(name))
    )
    assert train == (len(cohort.train), 40)
    assert heldout == (len(cohort.heldout), 64)
    synthetic = report.group("synthetic")
    assert synthetic is not None
    assert (synthetic.images, synthetic.patients) == (len(world.samples), None)
    assert report.facts["digest of the real images, as compared"] == cohort.key
    assert report.facts["seed"] == "0"


def test_suspects_name_their_files_and_their_similarities(report: ReportInput, outcome: Outcome, world: World) -> None:
    real = world.cohort.real
    assert len(report.suspects) == int(outcome.matches["withhold"].sum()) > 0
    for one in report.suspects:
        assert one.file == f"s{one.synthetic}"
        assert one.train_file == real.items[one.train_row]
        assert one.heldout_file == real.items[one.heldout_row]
        assert one.patient == real.subjects[one.train_row]
        assert one.similarity == outcome.matches["similarity"][one.synthetic]
        assert one.heldout_similarity == outcome.matches["heldout_similarity"][one.synthetic]


def test_the_report_of_a_real_outcome_is_written(
    report: ReportInput, world: World, full_size: FullSize, tmp_path: Path
) -> None:
    images = report_images(full_size, world.cohort)
    assert set(images.planted) == set(CLAIMED_AS)
    assert images.beside is None
    path = write_report(report, images, tmp_path)
    assert path.read_text(encoding="utf-8").count("<article") == len(report.suspects)


def test_channels_and_placements_are_handed_over(world: World, full_size: FullSize) -> None:
    both = FullSize(full_size.synthetic, full_size.real, ("t1", "t2"))
    images = report_images(both, world.cohort)
    assert images.channels == ("t1", "t2")
    assert images.placement is not None
    placed = images.placement(0, 1)
    assert both.placements == {(0, 1): placed}


def test_slices_are_shown_with_those_before_and_after(world: World, full_size: FullSize) -> None:
    cohort = world.cohort
    train = cohort.train
    renamed = Split(**{**train.__dict__, "items": ("a_z001", "a_z002", "a_z003", *train.items[3:])})
    images = report_images(full_size, type(cohort)(**{**cohort.__dict__, "train": renamed}))
    assert images.beside is not None
    assert [images.beside(row) for row in range(4)] == [(-1, 1), (0, 2), (1, -1), (-1, -1)]


def test_nothing_is_invented_without_held_out_images(outcome: Outcome) -> None:
    """Without a control the engine gives verbatim copies alone: no histogram, no curve, and no held-out file."""
    none = Score(value=None, reason="there are no held-out images")
    bare = Outcome(
        {"exposed.items": none, "exposed.patients": none, "exposed.verbatim": Score(value=0.0)}, (),
        outcome.matches, {}, {}, [], "float32",
    )  # fmt: skip
    detector = _detector(NAME, bare)
    assert (detector.histograms, detector.curve) == ((), ())
