"""From samples to tables, scores and a release: which images each number is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.adapters.sampling import Samples
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import read_json
from benchmark.core.sealed import sealed_write
from benchmark.core.types import Cohort, Images, Score, Split
from benchmark.detectors.random_conv import random_features
from benchmark.detectors.registry import choose
from benchmark.evaluation import run_evaluation
from benchmark.evaluation.release import withheld, write_release
from benchmark.evaluation.run_evaluation import attack_scores, evaluate_run, quality_scores, score_id
from benchmark.metrics.quality import frechet, mifid, standardised
from benchmark.records.cohort_facts import facts_of
from benchmark.records.record import Record, ScoreEntry, Spec

from .conftest import COPIED, InMemory, World


def classes_cohort(times: int = 1) -> Cohort:
    """Rows lie in the order of files, one class after the other: the first of them are no fair sample."""
    rng = np.random.default_rng(0)
    classes = np.r_[np.full(60 * times, 60), np.full(60 * times, 190), np.tile([60, 190], 60 * times)]
    pixels = np.clip(classes[:, None, None, None] + rng.normal(0, 15, (240 * times, 1, 16, 16)), 0, 255).astype(
        np.uint8
    )

    def part(name: str, start: int, stop: int) -> Split:
        start, stop = start * times, stop * times
        names = tuple(f"p{row}" for row in range(start, stop))
        return Split(
            name=name, pixels=pixels, rows=np.arange(start, stop), subjects=names, items=names, channels=("grey",)
        )

    return Cohort(
        name="t", key="k", train=part("train", 0, 120), calibration=part("c", 120, 180), test=part("t", 180, 240)
    )


def value(scores: dict[str, Score], name: str) -> float:
    found = scores[f"quality.{name}[random-conv]"].value
    assert found is not None
    return found


def test_the_floor_is_of_training_items_of_every_class() -> None:
    cohort = classes_cohort(2)
    scores = quality_scores(InMemory(cohort.test.stored(slice(0, 60))), cohort, device="cpu")  # type: ignore[arg-type]
    assert value(scores, "frechet_floor") < 2 * value(scores, "frechet"), "train and test follow one law here"


def test_quality_is_measured_against_held_out_images_and_the_floor_against_the_same() -> None:
    cohort = classes_cohort()
    made = InMemory(cohort.train.stored(slice(0, 40)))
    scores = quality_scores(made, cohort, device="cpu")  # type: ignore[arg-type]
    raw = random_features(cohort.heldout.images(), device="cpu")
    real = standardised(raw, like=raw)
    drawn = standardised(random_features(made.images(slice(0, 40)), device="cpu"), like=raw)
    assert value(scores, "frechet") == pytest.approx(frechet(drawn, real), rel=1e-3)
    assert scores["quality.frechet_floor[random-conv]"].n == 40  # as many as there are samples


def test_mifid_searches_all_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that copy training images beyond the first block, and beyond the part that the floor is drawn of."""
    monkeypatch.setattr(run_evaluation, "ENOUGH", 30)
    cohort = classes_cohort()
    made = InMemory(cohort.train.stored(slice(70, 100)))
    scores = quality_scores(made, cohort, device="cpu")  # type: ignore[arg-type]
    heldout = cohort.heldout.images(run_evaluation._some(120, 30))
    raw = random_features(heldout, device="cpu")
    drawn = standardised(random_features(made.images(slice(0, 30)), device="cpu"), like=raw)
    assert value(scores, "mifid") > 1e3 * value(scores, "frechet")
    assert mifid(drawn, standardised(raw, like=raw), np.zeros(30)) > 1e3 * value(scores, "frechet")


class Lossy:
    """Loses less on images that it has seen."""

    def __init__(self, seen: Images) -> None:
        self.seen = {image.tobytes() for image in seen}

    def losses(self, images: Images, *, seed: int) -> np.ndarray:
        return np.array([0.1 if image.tobytes() in self.seen else 0.9 for image in images])


def test_the_loss_attack_takes_a_low_loss_for_membership() -> None:
    cohort = classes_cohort()
    scores = attack_scores(Lossy(cohort.train.images()), cohort)
    assert scores["attack.loss.auc"].value == 1
    assert scores["attack.loss.tpr_at_1_fpr"].value == 1
    assert scores["attack.loss.auc"].n == 240
    assert scores["attack.loss.auc_members"].value == 0.5
    assert attack_scores(Lossy(cohort.heldout.images()), cohort)["attack.loss.auc"].value == 0
    half = attack_scores(Lossy(cohort.calibration.images()), cohort)["attack.loss.auc"].value
    assert half == pytest.approx(0.25)  # test patients are held out, too


@pytest.mark.parametrize(
    ("name", "detector", "expected"),
    [
        ("published.dar2025.n_mem", "dar2025", "published.dar2025.n_mem[dar2025]"),
        ("published.dar2025.n_mem", "copy", "rule.dar2025.n_mem[copy]"),
        ("published.akbar2025.mean", "pixels", "published.akbar2025.mean[pixels]"),
        ("published.akbar2025_test", "pixels", "published.akbar2025_test[pixels]"),
        ("published.akbar2025.mean_heldout", "copy", "rule.akbar2025.mean_heldout[copy]"),
        ("published.akbar2025.mean", "pixels:foreground=true", "rule.akbar2025.mean[pixels:foreground=true]"),
        ("copies.rate", "copy", "copies.rate[copy]"),
    ],
)
def test_a_score_is_published_only_with_the_detector_of_its_paper(name: str, detector: str, expected: str) -> None:
    assert score_id(name, detector) == expected


# A whole evaluation, and its release


def write_chunk(path: Path, images: np.ndarray) -> None:
    with sealed_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, images)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that was evaluated with pixels, of the small cohort and its samples."""
    place = tmp_path_factory.mktemp("run")
    (place / "samples").mkdir()
    write_chunk(place / "samples" / "chunk-00000.npy", world.samples.pixels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.evaluation.figures.draw_figures", lambda *_: None)
        patch.setattr(run_evaluation, "quality_scores", lambda *_, **__: {"quality.x": Score(value=1.0)})
        evaluate_run(
            world.cohort, place, [choose("pixels")], Lossy(world.cohort.train.images()), count=len(world.samples),
            cache=place / "cache", device="cpu", search_memory=2**30, log=lambda _: None,
        )  # fmt: skip
    return place


def test_the_members_table_has_one_row_per_real_image_in_the_order_of_the_splits(folder: Path, world: World) -> None:
    table, cohort = pd.read_parquet(folder / "members.parquet"), world.cohort
    assert list(table["split"]) == [name for split in cohort.splits for name in [split.name] * len(split)]
    assert list(table["item"]) == list(cohort.real.items)
    assert list(table["subject"]) == list(cohort.real.subjects)
    assert list(table["synthetic[pixels]"]) == world.to_real.argmax(axis=0).tolist()


def test_the_matches_table_has_one_row_per_sample_and_points_into_the_members(folder: Path, world: World) -> None:
    matches, members = (pd.read_parquet(folder / f"{name}.parquet") for name in ("matches", "members"))
    assert list(matches["synthetic"]) == list(range(len(world.samples)))
    named = members.iloc[matches["train_row[pixels]"]]
    assert set(named["split"]) == {"train"}
    assert list(named["item"]) == list(matches["train_item[pixels]"])
    assert set(members.iloc[matches["heldout_row[pixels]"]]["split"]) == {"calibration", "test"}


def test_evaluation_json_names_scores_by_detector(folder: Path, world: World) -> None:
    values = read_json(folder / "evaluation.json")
    scores = values["scores"]
    assert (scores["exposed.items[pixels]"]["low"] or 0) > 0
    assert scores["attack.loss.auc"]["value"] == 1
    assert {"quality.x", "detectable.patients", "detectable.share", "published.akbar2025.mean[pixels]"} <= set(scores)
    assert "rule.dar2025.n_mem[pixels]" in scores
    assert list(values["curves"]) == ["exposed.patients[pixels]"]
    assert len(values["replicates"]["exposed.items[pixels]"]) == 200
    assert set(values["hashes"]) == {"matches", "members"}
    assert values["hashes"]["matches"] != values["hashes"]["members"]
    assert not (folder / run_evaluation.SEARCHES).exists()


def write_record(folder: Path, cohort: Cohort, count: int, exposed: ScoreEntry) -> None:
    spec = Spec(model="m", preset="smoke", settings={}, data="d", data_options={}, samples=count, seed=0)
    Record(
        spec=spec,
        cohort=facts_of(cohort, cohort.name),
        scores={"exposed.items[pixels]": exposed},
        cost={},
        environment={},
        hashes={},
    ).write(folder / "record.json")


def test_a_release_leaves_out_exactly_the_withheld_samples(folder: Path, world: World, tmp_path: Path) -> None:
    from PIL import Image

    count = len(world.samples)
    write_record(folder, world.cohort, count, ScoreEntry(value=0.1))
    listed = pd.read_parquet(folder / "matches.parquet")["withhold[pixels]"].to_numpy()
    kept = np.flatnonzero(~listed)
    said = write_release(folder, tmp_path / "out")
    assert said == f"{len(kept)} of {count} samples; {count - len(kept)} are withheld"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"sample-{number:06d}.png" for number in kept]
    assert listed[:COPIED].all()
    for number in kept[:3]:
        image = np.asarray(Image.open(tmp_path / "out" / f"sample-{number:06d}.png"))
        assert np.array_equal(image, world.samples.pixels[number, 0])
    with pytest.raises(UsageError) as error:
        write_release(folder, tmp_path / "out")
    assert str(error.value) == (
        f"{tmp_path / 'out'} is not empty\n  hint: give a new folder: old samples would mix with these"
    )


def test_a_run_that_is_not_scored_is_not_released(folder: Path, world: World, tmp_path: Path) -> None:
    write_record(folder, world.cohort, len(world.samples), ScoreEntry(value=None, reason="cannot tell: nobody said"))
    with pytest.raises(BadDataError) as error:
        write_release(folder, tmp_path / "out")
    assert str(error.value) == (
        f"nothing is released from {folder}: exposed.items[pixels]: cannot tell: nobody said\n"
        "  hint: a release needs a headline that is scored"
    )
    assert not (tmp_path / "out").exists()


def test_a_sample_that_any_detector_lists_is_withheld() -> None:
    table = pd.DataFrame({
        "withhold[copy]": [True, False, False], "withhold[pixels]": [False, True, False], "above[copy]": [True] * 3
    })  # fmt: skip
    assert withheld(table).tolist() == [True, True, False]


def test_samples_that_are_no_grey_levels_are_released_as_they_are(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "samples").mkdir(parents=True)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 2, 4, 4, 4)).astype(np.float32)
    write_chunk(folder / "samples" / "chunk-00000.npy", images)
    with sealed_write(folder / "matches.parquet") as temporary:
        pd.DataFrame({"withhold[pixels]": [True, False, False]}).to_parquet(temporary)
    write_record(folder, world.cohort, 3, ScoreEntry(value=0.0))
    write_release(folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sample-000001.npy", "sample-000002.npy"]
    assert np.array_equal(np.load(tmp_path / "out" / "sample-000002.npy"), images[2])
    assert len(Samples.open(folder / "samples", 3)) == 3
