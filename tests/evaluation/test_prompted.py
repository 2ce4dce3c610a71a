"""Captions as prompts: what a caption tells of its patient is no copy, and copies are still found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark.cohorts.captions import Prompts, drawn_prompts
from benchmark.core.errors import BadDataError
from benchmark.core.types import Cohort, Score, Split
from benchmark.detectors.bank import Bank
from benchmark.evaluation.exposure import measure_exposure, possible_for
from benchmark.evaluation.prompted import Asked, asked_patients
from benchmark.evaluation.protocol import _member_scores
from benchmark.evaluation.resumable_search import Searching
from benchmark.evaluation.run_evaluation import _prompted
from benchmark.evaluation.synthetic_search import SyntheticSearch, search_synthetic
from benchmark.metrics.competition import Nearest, exposed
from benchmark.metrics.heldout_seen import heldout_seen
from benchmark.metrics.prompt_pairs import own_patient_difference
from benchmark.metrics.withhold import withhold
from benchmark.search import Rows

SIDE, EACH = 6, 2
SCALE = np.arange(1, SIDE**2 + 1) ** -0.5


@dataclass
class TextModel:
    """Draws a new patient who has what the caption tells; with some chance it copies the caption's training image."""

    memory: dict[str, np.ndarray]
    """Training images by their captions, as they were given to `fit`."""
    copies: float = 0.0

    def sample(self, prompts: tuple[str, ...], seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 5])
        images = rng.standard_normal((len(prompts), SIDE**2)) * SCALE
        for image, prompt in zip(images, prompts, strict=True):
            told = np.array([float(word) for word in prompt.split()])
            image[: len(told)] = told
            if prompt in self.memory and rng.random() < self.copies:
                image[:] = self.memory[prompt] + 0.01 * rng.standard_normal(SIDE**2)
        return images.astype(np.float32)


def captioned(seed: int, train: int = 40, heldout: int = 30, told: int = 12) -> tuple[Cohort, np.ndarray]:
    """Patients of two images; the caption of an image has its first `told` coordinates."""
    rng = np.random.default_rng([seed, 1])
    patients = rng.standard_normal((train + heldout, SIDE**2)) * SCALE
    rows = np.repeat(patients, EACH, axis=0) + 0.1 * rng.standard_normal((EACH * len(patients), SIDE**2)) * SCALE
    texts = [" ".join(f"{value:.3f}" for value in row[:told]) for row in rows]
    middle = train + heldout // 2

    def part(name: str, start: int, stop: int) -> Split:
        own = range(EACH * start, EACH * stop)
        return Split(
            name=name, pixels=rows.reshape(-1, 1, SIDE, SIDE), rows=np.array(own), channels=("x",),
            subjects=tuple(f"p{row // EACH}" for row in own), items=tuple(f"i{row}" for row in own),
            captions=tuple(texts[row] for row in own),
        )  # fmt: skip

    parts = part("train", 0, train), part("calibration", train, middle), part("test", middle, train + heldout)
    return Cohort(name="toy", key="k", train=parts[0], calibration=parts[1], test=parts[2]), rows


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@dataclass
class World:
    cohort: Cohort
    bank: Bank
    model: TextModel

    @classmethod
    def of(cls, seed: int, *, copies: float = 0.0, **sizes: int) -> World:
        cohort, rows = captioned(seed, **sizes)
        bank = Bank(cohort.real, Rows.of(unit(rows)), len(cohort.train), len(cohort.calibration))
        return cls(cohort, bank, TextModel(dict(zip(cohort.train.captions or (), rows, strict=False)), copies))

    def search(self, prompts: Prompts, seed: int, *, memory: int = 1 << 30) -> tuple[SyntheticSearch, Asked]:
        samples = unit(self.model.sample(prompts.texts, seed))
        asked = asked_patients(self.bank, prompts.rows)
        return search_synthetic(self.bank, Rows.of(samples), Searching(memory=memory), seed=0, asked=asked), asked


def headline(world: World, seed: int, count: int = 200) -> dict[str, Score]:
    found, asked = world.search(drawn_prompts(world.cohort, count, seed), seed)
    scores = measure_exposure(
        found.nearest, found.train.similarity, found.best, level=2.0, split=None, seed=0, everyone=found.everyone
    ).scores
    own = found.everyone.patient == asked.patient
    return scores | {"prompted.own": own_patient_difference(own, asked.patient, asked.patient < asked.train)}


def old_headline(world: World, seed: int, count: int = 200) -> float:
    """The low end where the model is asked with training captions only, and all patients compete."""
    rows = np.random.default_rng(seed).integers(0, len(world.cohort.train), count)
    texts = world.cohort.train.captions or ()
    prompts = Prompts(tuple(texts[row] for row in rows), rows, rows >= 0)
    found, _ = world.search(prompts, seed)
    return exposed(found.everyone).patients.low


DRAWS = 60


@pytest.mark.parametrize("told", [4, 12, 30])
def test_captions_are_no_copies(told: int) -> None:
    """An honest model whose images follow the caption: in at most 2.5 % of splits is the low end above 0."""
    worlds = [World.of(seed, told=told) for seed in range(DRAWS)]
    scores = [headline(world, seed) for seed, world in enumerate(worlds)]
    assert np.mean([(one["exposed.patients"].low or 0) > 0 for one in scores]) <= 0.1
    assert np.mean([(one["prompted.own"].low or 0) > 0 for one in scores]) <= 0.05
    assert np.mean([one["prompted.own"].value for one in scores]) == pytest.approx(0, abs=0.03)
    assert np.mean([one["exposed.patients"].value is None for one in scores]) <= 0.05, "hardly ever refused"


def test_training_captions_alone_would_look_like_copies() -> None:
    assert np.mean([old_headline(World.of(seed), seed) > 0 for seed in range(20)]) == 1


@pytest.mark.parametrize("sizes", [{"train": 60, "heldout": 30}, {"train": 30, "heldout": 60}])
def test_sides_of_other_sizes_compete_alike(sizes: dict[str, int]) -> None:
    scores = [headline(World.of(seed, **sizes), seed) for seed in range(DRAWS)]
    assert np.mean([(one["exposed.patients"].low or 0) > 0 for one in scores]) <= 0.1
    assert {one["exposed.patients"].n for one in scores} == {30}


def test_copies_are_found() -> None:
    for seed in range(10):
        scores = headline(World.of(seed, copies=0.5), seed)
        patients = scores["exposed.patients"]
        assert (patients.low or 0) > 15
        assert patients.n == 30


def test_captions_that_tell_little_show_memory_by_the_own_patient_too() -> None:
    scores = [headline(World.of(seed, copies=0.5, told=2), seed)["prompted.own"] for seed in range(10)]
    assert min(one.low or 0 for one in scores) > 0


def test_only_prompted_patients_compete_and_all_blocks_agree_with_brute_force() -> None:
    world = World.of(0, train=50, heldout=20)
    prompts = drawn_prompts(world.cohort, 30, seed=0)
    found, asked = world.search(prompts, 0)
    small, _ = world.search(prompts, 0, memory=20_000)
    bank = world.bank.rows.take(slice(None)).astype(float)
    similarity = unit(world.model.sample(prompts.texts, 0)).astype(float) @ bank.T
    whose = np.repeat(np.arange(70), EACH)
    by_patient = np.stack([similarity[:, whose == one].max(axis=1) for one in range(70)], axis=1)
    competing = np.unique(whose[prompts.rows])
    assert (found.nearest.train, found.nearest.heldout) == (15, 15)
    assert asked.patients.tolist() == competing.tolist()
    assert competing[found.nearest.patient].tolist() == competing[by_patient[:, competing].argmax(axis=1)].tolist()
    assert found.nearest.similarity == pytest.approx(by_patient[:, competing].max(axis=1), abs=1e-6)
    assert found.everyone.patient.tolist() == by_patient.argmax(axis=1).tolist()
    assert found.best == pytest.approx(by_patient[:, competing].max(axis=0), abs=1e-6)
    assert asked.patient.tolist() == whose[prompts.rows].tolist()
    assert asked.images.tolist() == np.isin(whose, competing).tolist()
    for name in ("patient", "similarity", "priority"):
        assert np.array_equal(getattr(small.nearest, name), getattr(found.nearest, name))


def test_what_can_be_shown_is_of_the_patients_that_are_asked_for() -> None:
    world = World.of(0, train=50, heldout=30)
    rows = drawn_prompts(world.cohort, 40, seed=0).rows
    assert possible_for(world.cohort, 40, rows) == possible_for(World.of(0, train=20, heldout=20).cohort, 40)
    assert possible_for(world.cohort, 40, rows) != possible_for(world.cohort, 40)


# Verbatim copies and the list look at everybody


def near(train: int, heldout: int, *patients: tuple[float, int]) -> Nearest:
    similarity, patient = zip(*patients, strict=True)
    return Nearest(np.array(similarity), np.array(patient), train, heldout, np.arange(train + heldout) * 1.0)


def test_a_verbatim_copy_of_somebody_not_asked_for_is_listed_and_refused() -> None:
    """Samples 0 and 1 show held-out patients that were not asked for, sample 2 such a training patient."""
    asked = near(2, 2, (0.2, 2), (0.3, 3), (0.1, 0), (0.4, 1))
    everyone = near(5, 6, (0.99, 9), (0.98, 10), (0.97, 4), (0.4, 1))
    assert heldout_seen(asked, 0.9).verbatim == 0
    assert heldout_seen(asked, 0.9, everyone=everyone).verbatim == 2
    scores = measure_exposure(
        asked, np.array([0.1, 0.1, 0.97, 0.4]), np.zeros(4), level=0.9, split=None, seed=0, everyone=everyone
    ).scores
    assert scores["exposed.verbatim"].value == 1
    assert scores["heldout.exposed"].value == 2


def test_the_bound_on_false_entries_counts_the_decoys_that_were_asked_for() -> None:
    everyone = near(30, 30, *((1 - i / 100, i) for i in range(30)), (0.1, 30))
    few = withhold(everyone, everyone.similarity, 2.0, comparable=10)
    assert few.expected_false_patients == pytest.approx(30 / 11)
    assert few.false_patients > withhold(everyone, everyone.similarity, 2.0).false_patients
    assert few.nearest.sum() == 30


def test_the_list_of_a_run_is_of_everybody_with_that_bound() -> None:
    """Thirty training patients before the first held-out one; ten were asked for on each side."""
    everyone = near(30, 30, *((1 - i / 100, i) for i in range(30)), (0.1, 30))
    asked = near(10, 10, *((0.2 - i / 100, i % 10) for i in range(30)), (0.1, 10))
    scores = measure_exposure(
        asked, everyone.similarity, np.arange(20.0), level=2.0, split=None, seed=0, everyone=everyone
    ).scores
    assert scores["withheld.items"].value == 30
    assert scores["withheld.false_patients"].value == pytest.approx(30 / 11)
    assert scores["exposed.patients"].n == 10


# Scores of real images by their nearest sample


def member_scores(world: World, rows: list[int]) -> dict[str, Score]:
    similarity = np.random.default_rng(0).uniform(size=len(world.cohort.real))
    return _member_scores(world.bank, similarity, asked_patients(world.bank, np.array(rows)), 0)


def test_members_are_those_that_were_asked_for() -> None:
    """Five training patients, and two each of calibration and test; the scores have two images of each."""
    world = World.of(0, train=40, heldout=30)
    rows = [*range(0, 10, EACH), 80, 82, 110, 112]
    scores = member_scores(world, rows)
    assert scores["members.share"].n == 10
    assert scores["members.null"].n == 4
    assert scores["members.auc"].n == 10 + 8


@pytest.mark.parametrize(("rows", "part"), [([0, 80], "test"), ([0, 110], "calibration")])
def test_members_are_not_scored_where_nobody_of_a_part_was_asked_for(rows: list[int], part: str) -> None:
    scores = member_scores(World.of(0, train=40, heldout=30), rows)
    assert {score.reason for score in scores.values()} == {f"no prompt is of a {part} patient"}
    assert {score.value for score in scores.values()} == {None}


def test_one_patient_of_each_part_is_enough() -> None:
    assert member_scores(World.of(0, train=40, heldout=30), [0, 80, 110])["members.auc"].value is not None


def test_samples_of_a_text_model_without_their_prompts_are_refused(tmp_path: Path) -> None:
    class Text:
        prompted, pipeline = True, None

        def sample(self) -> None: ...

    assert _prompted(tmp_path / "samples", object()) is None
    with pytest.raises(BadDataError) as error:
        _prompted(tmp_path / "samples", Text())
    assert str(error.value) == (
        f"{tmp_path} does not say whose captions its samples were asked with: samples/prompts.parquet is missing\n"
        "  hint: delete that folder, and run again: bench run"
    )
