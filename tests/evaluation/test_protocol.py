"""The wiring of protocol p2: which number is computed of which split, against correlations of all pairs by NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.core.percent import percent
from benchmark.core.types import Score
from benchmark.detectors.bank import Bank
from benchmark.detectors.fitting import Fitted
from benchmark.evaluation.exposure import measure_exposure
from benchmark.evaluation.planted_recall import choose_planted
from benchmark.evaluation.protocol import Outcome, _level, _match_columns, _seen_level, _split, evaluate
from benchmark.evaluation.real_neighbours import NEIGHBOURS, real_neighbours
from benchmark.evaluation.receipts import cohort_seed
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.synthetic_search import SyntheticSearch, search_synthetic
from benchmark.images.planted_copies import PLANTED
from benchmark.metrics.accumulation import accumulation
from benchmark.metrics.bootstrap import flagged_share
from benchmark.metrics.calibration import auc, conformal_quantile
from benchmark.metrics.competition import Nearest, exposed, nearest_of_patients
from benchmark.metrics.copy_rate import PatientScores, share_above
from benchmark.metrics.epsilon import privacy_loss
from benchmark.metrics.split_test import split_test
from benchmark.search import Rows

from .conftest import COPIED, InMemory, World, by_unit, correlations, numbered

CLOSE = {"abs": 1e-6}
SOME = ("exact", "blur", "resample")


@pytest.fixture(scope="module")
def outcome(fitted: Fitted, bank: Bank, world: World, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The whole evaluation but for the neighbours of the literature, which `test_literature` has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "benchmark.evaluation.protocol.secondary_scores", lambda *_, **__: {"neighbours.x": Score(value=1.0)}
        )
        patch.setattr("benchmark.evaluation.protocol.PLANTED", {name: PLANTED[name] for name in SOME})
        return evaluate(
            fitted.detector, bank, fitted.embed(world.samples), kept=tmp_path_factory.mktemp("kept"), seed=0,
            searching=Searching(), advance=lambda *_, **__: None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def found(fitted: Fitted, bank: Bank, world: World) -> SyntheticSearch:
    return search_synthetic(bank, fitted.embed(world.samples), Searching(), seed=0)


def competition(world: World, matrix: np.ndarray | None = None) -> Nearest:
    train, heldout = world.units
    pairs = world.to_real if matrix is None else matrix
    return nearest_of_patients(
        by_unit(pairs[:, : world.train], train), by_unit(pairs[:, world.train :], heldout), seed=0
    )


def same(score: Score, other: Score) -> bool:
    """Whether two scores agree up to the rounding of similarities."""
    values = [(score.value, other.value), (score.low, other.low), (score.high, other.high)]
    return score.n == other.n and all(
        a == b or (a is not None and b is not None and abs(a - b) < 1e-6) for a, b in values
    )


def test_the_world_can_tell_its_parts_apart(world: World) -> None:
    """Otherwise a wrong split, patient or unit would not show below."""
    assert len(set(world.cohort.train.dealt)) == len(set(world.cohort.train.subjects)) - 1
    assert len(set(world.cohort.heldout.dealt)) == len(set(world.cohort.heldout.subjects)) - 1
    assert not np.array_equal(world.cohort.real.rows, np.arange(len(world.cohort.real)))
    assert world.cohort.real.items[3] != "i3"


def test_each_part_of_the_bank_reads_its_own_images(bank: Bank, world: World) -> None:
    for split, name in zip(world.cohort.splits, ("train", "calibration", "test"), strict=True):
        rows = bank.part(name)
        own = split.stored().reshape(len(split), -1)
        assert np.array_equal(rows.take(slice(0, rows.count)), own)
        assert np.array_equal(rows.take(np.array([3, 1])), own[[3, 1]])
        assert np.array_equal(rows.take(slice(2, 5)), own[2:5])


# Searches


def test_each_sample_meets_its_nearest_images_and_unit(found: SyntheticSearch, world: World) -> None:
    own, other = world.to_real[:, : world.train], world.to_real[:, world.train :]
    assert found.train.index.tolist() == own.argmax(axis=1).tolist()
    assert found.train.similarity == pytest.approx(own.max(axis=1), **CLOSE)
    assert found.heldout.index.tolist() == other.argmax(axis=1).tolist()
    assert found.heldout.similarity == pytest.approx(other.max(axis=1), **CLOSE)
    expected = competition(world)
    assert found.nearest.patient.tolist() == expected.patient.tolist()
    assert found.nearest.similarity == pytest.approx(expected.similarity, **CLOSE)
    assert (found.nearest.train, found.nearest.heldout) == (39, 63)  # two patients with a shared image are one unit
    assert found.nearest.priority.tolist() == expected.priority.tolist()


def test_each_real_image_and_unit_meets_its_nearest_sample(found: SyntheticSearch, world: World) -> None:
    assert found.real.index.tolist() == world.to_real.argmax(axis=0).tolist()
    assert found.real.similarity == pytest.approx(world.to_real.max(axis=0), **CLOSE)
    train, heldout = world.units
    best = [world.to_real[:, : world.train][:, train == unit].max() for unit in range(39)]
    best += [world.to_real[:, world.train :][:, heldout == unit].max() for unit in range(63)]
    assert found.best == pytest.approx(np.array(best), **CLOSE)


def test_blocks_of_samples_change_nothing(found: SyntheticSearch, fitted: Fitted, bank: Bank, world: World) -> None:
    small = search_synthetic(bank, fitted.embed(world.samples), Searching(memory=40_000), seed=0)
    assert small.nearest.patient.tolist() == found.nearest.patient.tolist()
    assert small.real.index.tolist() == found.real.index.tolist()
    assert small.best.tolist() == found.best.tolist()
    assert small.train.similarity.tolist() == found.train.similarity.tolist()


# Headline


def test_the_headline_is_the_competition_of_units(outcome: Outcome, world: World) -> None:
    expected = exposed(competition(world))
    for name, estimate in (("exposed.patients", expected.patients), ("exposed.items", expected.samples)):
        score = outcome.scores[name]
        assert (score.value, score.low, score.high) == pytest.approx((estimate.value, estimate.low, estimate.high))
    assert outcome.scores["exposed.threshold"].value == pytest.approx(expected.threshold, **CLOSE)
    assert (outcome.scores["exposed.patients"].n, outcome.scores["exposed.items"].n) == (39, len(world.samples))
    low = outcome.scores["exposed.patients"].low
    assert low is not None
    assert 0 < low <= COPIED - 1  # two of the copied patients are one unit
    assert len(outcome.replicates) == 200
    assert [row["passed"] for row in outcome.curve] == [row.passed for row in expected.curve]


def test_the_level_of_verbatim_copies_is_of_real_pairs_of_different_units(
    outcome: Outcome, bank: Bank, world: World, empty: Path
) -> None:
    units = world.all_units
    others = world.between[units[:, None] != units[None]]
    level = 1 - (1 - others.max()) / 4
    assert _level(real_neighbours(bank, empty, Searching(), seed=0)) == pytest.approx(level, **CLOSE)
    alike = np.where(units[:, None] == units[None], -1.0, world.between).max(axis=1)
    falling = np.sort([alike[units == unit].max() for unit in range(int(units.max()) + 1)])[::-1]
    seen_level = _seen_level(bank, real_neighbours(bank, empty, Searching(), seed=0))
    assert seen_level == pytest.approx(1 - (1 - falling[2]) / 4, **CLOSE)
    subjects = numbered(world.cohort.real.subjects)
    of_patients = world.between[(subjects[:, None] != subjects[None]) & (world.between < 1 - 1e-6)].max()
    assert of_patients > others.max() + 0.02  # patients of one unit have more alike images
    verbatim = world.to_real[:, : world.train].max(axis=1) > level
    assert outcome.scores["exposed.verbatim"].value == verbatim.sum() == COPIED
    assert (outcome.matches["reason"] == "verbatim").tolist() == verbatim.tolist()


def test_the_split_test_gets_the_nearest_images_of_other_units(
    outcome: Outcome, bank: Bank, world: World, empty: Path
) -> None:
    units = world.all_units
    masked = np.where(units[:, None] == units[None], -2, world.between)
    near = np.argsort(-masked, axis=1, kind="stable")[:, :NEIGHBOURS]
    kept = real_neighbours(bank, empty, Searching(), seed=0)
    assert kept is not None
    assert kept.similarity == pytest.approx(np.take_along_axis(masked, near, axis=1), **CLOSE)
    in_train = np.zeros(units.max() + 1, dtype=bool)
    in_train[units[: world.train]] = True
    expected = split_test(near, units, in_train, seed=0)
    tested = _split(bank, kept, 0)
    assert tested is not None
    assert tested == split_test(kept.positions, units, in_train, seed=0)  # of units, of whom two are two patients each
    assert tested.same_side == pytest.approx(expected.same_side, abs=2e-3)  # equal images may be taken either way
    assert outcome.scores["split.p"].value == tested.p_value
    assert tested.p_value == pytest.approx(expected.p_value, abs=0.05)
    assert outcome.scores["split.p"].n == 39 + 63


def test_kept_neighbours_are_read_again(bank: Bank, empty: Path) -> None:
    first = real_neighbours(bank, empty, Searching(), seed=0)
    (path,) = empty.glob("neighbours-5-0-*.npz")
    written = path.stat().st_mtime_ns
    again = real_neighbours(bank, empty, Searching(), seed=0)
    assert path.stat().st_mtime_ns == written
    assert first is not None
    assert again is not None
    assert again.positions.tolist() == first.positions.tolist()


def test_the_control_compares_test_images_with_train_and_calibration_alone(outcome: Outcome, world: World) -> None:
    middle = world.train + world.calibration
    queries = world.between[middle:]
    calibration = numbered(world.cohort.calibration.dealt)
    nearest = nearest_of_patients(
        by_unit(queries[:, : world.train], world.units[0]),
        by_unit(queries[:, world.train : middle], calibration),
        seed=0,
    )
    assert nearest.heldout == 40
    share = exposed(nearest).samples
    score = outcome.scores["exposed.control"]
    assert (score.value, score.low, score.high) == pytest.approx((share.value, share.low, share.high))
    assert score.n == len(world.cohort.test)


def test_privacy_and_growth_are_of_units_on_their_sides(outcome: Outcome, world: World) -> None:
    train, heldout = world.units
    best = [by_unit(world.to_real[:, part], units).max(axis=0) for part, units in (
        (slice(0, world.train), train), (slice(world.train, None), heldout)
    )]  # fmt: skip
    loss = privacy_loss(*best, seed=cohort_seed(world.cohort.real, 0))
    assert outcome.scores["privacy.epsilon"].value == pytest.approx(loss.epsilon)
    assert outcome.scores["privacy.epsilon"].n == 39
    nearest = competition(world)
    headline = exposed(nearest)
    above = (nearest.similarity > (headline.threshold or -2)) & (nearest.patient < 39)
    counts = {
        patient: int((nearest.patient[above] == patient).sum()) for patient in set(nearest.patient[above].tolist())
    }
    most = sorted(counts, key=lambda patient: (-counts[patient], patient))  # chance puts few samples near a patient
    kept = {}
    for end in ("low", "value", "high"):
        some = most[: round(getattr(headline.patients, end))]
        kept[end] = accumulation(np.where(above & np.isin(nearest.patient, some), nearest.patient, -1), 39).larger
    for factor in (10, 100):
        score = outcome.scores[f"growth.times{factor}"]
        assert (score.low, score.high) == pytest.approx((kept["low"][factor].low, kept["high"][factor].high))
        assert score.value == pytest.approx(max(kept["value"][factor].value, kept["low"][factor].low))


# Copy rate, members, planted copies


def near_train(world: World, part: slice) -> np.ndarray:
    return np.asarray(world.between[part, : world.train].max(axis=1))


def parts(world: World) -> dict[str, slice]:
    middle = world.train + world.calibration
    return {
        "train": slice(0, world.train),
        "calibration": slice(world.train, middle),
        "test": slice(middle, len(world.cohort.real)),
    }


def scores_of(world: World, name: str, values: np.ndarray) -> PatientScores:
    return PatientScores(values, numbered(getattr(world.cohort, name).subjects))


def test_tau_is_of_calibration_patients_and_the_null_of_test_patients(outcome: Outcome, world: World) -> None:
    near, test = (scores_of(world, name, near_train(world, parts(world)[name])) for name in ("calibration", "test"))
    tau = conformal_quantile(near.values, near.codes)
    assert outcome.scores["copies.tau"].value == pytest.approx(tau, **CLOSE)
    assert outcome.scores["copies.tau"].n == 40
    assert tau < near.values.max()
    assert tau != pytest.approx(conformal_quantile(test.values, test.codes), abs=1e-3)
    to_train = world.to_real[:, : world.train].max(axis=1)
    assert same(outcome.scores["copies.rate"], share_above(PatientScores.alone(to_train), near))
    assert same(outcome.scores["copies.null"], share_above(test, near))
    assert outcome.scores["copies.null"].value != share_above(near, near).value
    assert outcome.matches["above"].tolist() == (to_train > tau).tolist()


def test_memorised_shares_are_read_from_real_images_to_samples(outcome: Outcome, world: World) -> None:
    best = world.to_real.max(axis=0)
    sides = {name: scores_of(world, name, best[part]) for name, part in parts(world).items()}
    assert same(outcome.scores["members.share"], share_above(sides["train"], sides["calibration"]))
    assert same(outcome.scores["members.null"], share_above(sides["test"], sides["calibration"]))
    assert outcome.scores["members.auc"].value == pytest.approx(auc(best[: world.train], best[world.train :]))
    assert outcome.scores["members.auc"].n == len(world.cohort.real)
    assert outcome.scores["members.auc_members"].n == world.train
    level = conformal_quantile(sides["calibration"].values, sides["calibration"].codes)
    assert outcome.members["synthetic"].tolist() == world.to_real.argmax(axis=0).tolist()
    assert outcome.members["similarity"] == pytest.approx(best, **CLOSE)
    assert outcome.members["above"].tolist() == (best > level).tolist()


def test_columns_name_the_nearest_images_by_their_position_in_the_members_table(outcome: Outcome, world: World) -> None:
    table, train = outcome.matches, world.train
    nearest, other = world.to_real[:, :train].argmax(axis=1), world.to_real[:, train:].argmax(axis=1) + train
    assert table["train_row"].tolist() == nearest.tolist()
    assert table["train_item"].tolist() == [world.cohort.real.items[row] for row in nearest]
    assert table["train_subject"].tolist() == [world.cohort.real.subjects[row] for row in nearest]
    assert table["similarity"] == pytest.approx(
        world.to_real.max(axis=1, where=np.arange(len(world.cohort.real)) < train, initial=-2), **CLOSE
    )
    assert table["heldout_row"].tolist() == other.tolist()
    assert table["heldout_similarity"] == pytest.approx(world.to_real[:, train:].max(axis=1), **CLOSE)


def test_the_list_to_withhold_is_what_no_held_out_patient_explains(outcome: Outcome, world: World) -> None:
    nearest = competition(world)
    held = nearest.patient >= 39
    first = nearest.similarity[held].max()
    verbatim = outcome.matches["reason"] == "verbatim"
    assert outcome.matches["withhold"].tolist() == ((~held & (nearest.similarity >= first)) | verbatim).tolist()
    assert outcome.matches["withhold"][:COPIED].all()
    assert outcome.scores["withheld.items"].value == outcome.matches["withhold"].sum() < 30


def test_a_verbatim_copy_is_withheld_below_a_held_out_pair(fitted: Fitted, bank: Bank, world: World) -> None:
    """An exact held-out image among the samples is more similar than a noisy copy of a training image."""
    copy = world.cohort.train.stored(np.array([11])) ^ np.uint8(1)
    made = InMemory(np.concatenate([copy, world.cohort.heldout.stored(np.array([20]))]))
    found = search_synthetic(bank, fitted.embed(made), Searching(), seed=0)
    exposure = measure_exposure(found.nearest, found.train.similarity, found.best, level=0.98, split=None, seed=0)
    columns = _match_columns(bank, found, exposure, 0.5)
    assert exposure.withheld.nearest.tolist() == [False, False]
    assert columns["withhold"].tolist() == [True, False]
    assert columns["reason"].tolist() == ["verbatim", ""]


@pytest.mark.parametrize("name", SOME)
def test_planted_copies_are_found_by_their_unit_at_both_thresholds(
    outcome: Outcome, bank: Bank, world: World, name: str
) -> None:
    planted = choose_planted(bank, seed=0)
    images = world.cohort.train.images(planted.positions)
    copies = PLANTED[name](torch.from_numpy(images)).numpy()
    matrix = correlations(copies, world.cohort.train.images())
    units = world.units[0]
    own = units[matrix.argmax(axis=1)] == units[planted.positions]
    near = scores_of(world, "calibration", near_train(world, parts(world)["calibration"]))
    tau, headline = conformal_quantile(near.values, near.codes), exposed(competition(world)).threshold
    patients = numbered(tuple(world.cohort.train.subjects[place] for place in planted.positions))
    for score, level in (("recall", tau), ("recall_headline", headline)):
        expected = flagged_share((matrix.max(axis=1) > level) & own, patients, direction="higher")
        assert same(outcome.scores[f"detector.{score}.{name}"], expected)
    if name == "exact":
        assert outcome.scores["detector.recall.exact"].value == pytest.approx(1)
    if name == "blur":
        assert outcome.scores["detector.recall.blur"] != outcome.scores["detector.recall_headline.blur"]


def test_histograms_and_published_means_are_of_their_searches(outcome: Outcome, world: World) -> None:
    train = world.train
    expected = {
        "": world.to_real[:, :train].max(axis=1),
        "_test": near_train(world, parts(world)["test"]),
        "_heldout": world.to_real[:, train:].max(axis=1),
    }
    for ending, values in expected.items():
        assert outcome.scores[f"published.akbar2025.mean{ending}"].value == pytest.approx(values.mean(), **CLOSE)
        counts = np.array(outcome.histograms[f"published.akbar2025{ending}"])
        assert counts.sum() == len(values)
    assert outcome.scores["neighbours.x"].value == 1


# One copy among many


def test_one_exact_copy_among_four_thousand_samples_is_listed(
    fitted: Fitted, bank: Bank, world: World, empty: Path
) -> None:
    made = np.random.default_rng(5).integers(0, 255, (4_000, 1, 8, 8)).astype(np.uint8)
    made[3_777] = world.cohort.train.stored(np.array([11]))[0]
    found = search_synthetic(bank, fitted.embed(InMemory(made)), Searching(), seed=0)
    level = _level(real_neighbours(bank, empty, Searching(), seed=0))
    exposure = measure_exposure(found.nearest, found.train.similarity, found.best, level=level, split=None, seed=0)
    assert exposure.withheld.any[3_777]
    assert exposure.withheld.reasons()[3_777] == "verbatim"
    assert exposure.scores["exposed.verbatim"].value == 1
    assert exposure.withheld.any.sum() < 20


def test_samples_that_are_as_similar_to_both_sides_cannot_be_judged(
    fitted: Fitted, bank: Bank, world: World, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constant samples correlate with nothing: all their similarities are 0, to both sides."""
    monkeypatch.setattr("benchmark.evaluation.protocol.secondary_scores", lambda *_, **__: {})
    monkeypatch.setattr("benchmark.evaluation.protocol.PLANTED", {})
    blank = fitted.embed(InMemory(np.full_like(world.samples.pixels, 128)))
    judged = evaluate(
        fitted.detector, bank, blank, kept=empty, seed=0, searching=Searching(), advance=lambda *_, **__: None
    )
    assert judged.scores["exposed.items"].value is None
    assert judged.scores["exposed.items"].reason.startswith("cannot tell: this detector finds 100.0 % of the samples")


def test_a_refusal_from_outside_reaches_the_headline_and_nothing_else(
    fitted: Fitted, bank: Bank, world: World, outcome: Outcome, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.evaluation.protocol.secondary_scores", lambda *_, **__: {})
    monkeypatch.setattr("benchmark.evaluation.planted_recall.COPIES", 3)
    told: list[str] = []
    refused = evaluate(
        fitted.detector, bank, fitted.embed(world.samples), kept=empty, seed=0, searching=Searching(),
        advance=lambda *_, note: told.append(note), refusal="cannot tell: nobody knows",
    )  # fmt: skip
    for name in ("exposed.patients", "exposed.items", "privacy.epsilon", "growth.times10", "growth.times100"):
        assert (refused.scores[name].value, refused.scores[name].reason) == (None, "cannot tell: nobody knows")
    assert refused.replicates == ()
    for name in ("exposed.verbatim", "withheld.items", "copies.rate", "split.p", "exposed.control"):
        assert refused.scores[name] == outcome.scores[name]
    assert refused.matches["withhold"].tolist() == outcome.matches["withhold"].tolist()
    assert len(told) == 6


class Blind:
    """A detector whose rows are noise, or all the same."""

    invariances = ("exact",)

    def __init__(self, fitted: Fitted, kind: str) -> None:
        self.similarity, self.kind, self.random = fitted.detector.similarity, kind, np.random.default_rng(0)

    def embed(self, images: np.ndarray) -> np.ndarray:
        if self.kind == "zeros":
            return np.zeros((len(images), 8), np.float32)
        return self.random.standard_normal((len(images), 8), np.float32)


@pytest.mark.parametrize("kind", ["noise", "zeros"])
def test_a_detector_that_does_not_find_unchanged_copies_is_refused(
    fitted: Fitted, world: World, empty: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("benchmark.evaluation.protocol.secondary_scores", lambda *_, **__: {})
    blind = Blind(fitted, kind)
    rows = Rows.of(blind.embed(world.cohort.real.images()), blind.similarity)
    own = Bank(world.cohort.real, rows, world.train, world.calibration)
    samples = Rows.of(blind.embed(world.samples.images(slice(None))), blind.similarity)
    judged = evaluate(
        blind, own, samples, kept=empty, seed=0, searching=Searching(), advance=lambda *_, **__: None
    )  # fmt: skip
    share = percent(judged.scores["detector.recall.exact"].value or 0.0)
    for name in ("exposed.patients", "exposed.items"):
        assert judged.scores[name].value is None
        assert judged.scores[name].reason == (
            f"refused: this detector is blind here: it finds {share} of unchanged copies of training images (at least "
            "99 % are needed), so that copies among the samples cannot be seen; take another detector"
        )
