"""Samples that came out wrong are named: they look like no training image in some number that describes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmark.core.types import Score, Split
from benchmark.evaluation.run_evaluation import weakened
from benchmark.evaluation.unlike_samples import unlike_score

from .conftest import InMemory

SIDE = 24


def bodies(seed: int, count: int, channels: int = 1) -> np.ndarray:
    """Bright discs of different size, place and texture on black, (count, C, SIDE, SIDE) uint8; colours are shifted."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:SIDE, :SIDE]
    places = rng.normal(SIDE / 2, 1, (count, 2, 1, 1))
    distance = np.hypot(y - places[:, 0], x - places[:, 1])
    inside = distance < rng.uniform(6, 9, (count, 1, 1))
    level = rng.uniform(90, 130, (count, 1, 1)) + 10 * rng.standard_normal((count, SIDE, SIDE))
    grey = np.where(inside, level, 0.0)
    return np.stack([np.clip(grey * (1 - 0.25 * c), 0, 255) for c in range(channels)], axis=1).round().astype(np.uint8)


def split(pixels: np.ndarray, patients: int = 0) -> Split:
    rows = np.arange(len(pixels))
    names = tuple(f"p{row % (patients or len(rows))}" for row in rows)
    channels = ("red", "green", "blue")[: pixels.shape[1]]
    return Split(name="train", pixels=pixels, rows=rows, subjects=names, items=names, channels=channels)


def scored(samples: np.ndarray, train: np.ndarray) -> Score:
    return unlike_score(InMemory(samples), split(train))


def test_samples_of_the_same_law_are_not_called_unlike() -> None:
    """The rule may err in 1 of 1,000 sets; the sizes are those of small and of larger cohorts."""
    for train, count in ((8, 200), (40, 200), (400, 12), (400, 200)):
        scores = [scored(bodies(seed, count), bodies(seed + 1000, train)) for seed in range(15)]
        assert [score.reason for score in scores] == [""] * 15
        assert np.mean([score.value for score in scores]) < 8 / train + 0.1


KINDS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "read as the upper half": (lambda x: x / 2 + 127.5, "darkest pixel higher (100 %)"),
    "half the scale": (lambda x: x / 2, "brightest pixel lower (100 %)"),
    "saturated": (lambda x: x * 8.0, "brightest pixel higher (100 %)"),
    "two levels": (lambda x: (x > 60) * 110, "number of grey levels lower (100 %)"),
    "wrapped around": (lambda x: (x * 3.0) % 256, "roughness higher"),
    "inverted": (lambda x: 255.0 - x, "correlation with the mean training image lower (100 %)"),
    "half black": (lambda x: np.where(np.arange(SIDE) < SIDE // 2, 0, x), "share of flat areas higher"),
    "noise": (
        lambda x: np.where(np.random.default_rng(0).random(x.shape) < 0.6, 0, x.max(axis=(2, 3), keepdims=True)),
        "correlation with the mean training image lower (100 %)",
    ),
    "little noise": (lambda x: 90 + np.random.default_rng(0).integers(0, 4, x.shape), "contrast lower (100 %)"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_that_came_out_wrong_are_named(kind: str) -> None:
    change, named = KINDS[kind]
    score = scored(np.clip(change(bodies(0, 60)), 0, 255).astype(np.uint8), bodies(1, 200))
    assert score.value is not None
    assert score.value > 0.9
    assert named in score.reason


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x: x[:, ::-1], "signed difference of red and green lower (100 %)"),
        (lambda x: np.repeat(x[:, :1], 3, axis=1), "difference of red and green lower (100 %)"),
    ],
)
def test_channels_in_another_order_or_all_the_same(change: Callable[[np.ndarray], np.ndarray], named: str) -> None:
    assert named in scored(change(bodies(0, 60, 3)), bodies(1, 200, 3)).reason
    assert scored(bodies(0, 60, 3), bodies(1, 200, 3)).reason == ""


def test_the_whole_sentence_and_a_part_of_the_samples() -> None:
    samples = bodies(0, 60)
    samples[:15] = 255 - samples[:15]
    score = scored(samples, bodies(1, 200))
    assert (score.value, score.n, score.direction) == (17 / 60, 60, "lower")  # two by chance
    assert score.reason == (
        "28 % of the samples are unlike the training images: brightest pixel higher (28 %), mean higher (27 %), "
        "darkest pixel higher (25 %), correlation with the mean training image lower (25 %), each beyond 99 % of the "
        "training images; look at figures/samples.png: if they came out wrong (scale, channels, latents, noise), that "
        "they copy nobody says nothing of what the model has memorised"
    )


def test_odd_training_images_do_not_hide_wrong_samples() -> None:
    train = bodies(1, 400)
    train[0], train[1] = 255 - train[0], np.random.default_rng(0).integers(0, 256, train[1].shape)
    assert "darkest pixel higher (100 %)" in scored(255 - bodies(0, 60), train).reason


def test_many_images_of_few_patients_say_less() -> None:
    """Each of 4 patients has 50 images of one brightness; samples are of new patients of the same law."""
    rng = np.random.default_rng(0)
    train, samples = bodies(1, 200), bodies(0, 60)
    own = rng.uniform(-60, 100, 4)[np.arange(200) % 4].reshape(-1, 1, 1, 1)
    new = rng.uniform(-60, 100, 60).reshape(-1, 1, 1, 1)
    train, samples = (np.clip(x + y, 0, 255).astype(np.uint8) for x, y in ((train, own), (samples, new)))
    assert unlike_score(InMemory(samples), split(train, patients=4)).reason == ""
    assert unlike_score(InMemory(samples), split(train)).reason != ""


def test_volumes_and_constant_images_are_described() -> None:
    volumes = np.repeat(bodies(0, 60)[:, :, None], 3, axis=2)
    assert scored(volumes, volumes).value == 0
    black = scored(np.zeros_like(volumes), volumes)
    assert black.value == 1
    assert "contrast lower (100 %)" in black.reason


def test_the_headline_says_what_weakens_it_and_a_refused_one_keeps_its_reason() -> None:
    scores = {
        "exposed.patients": Score(value=0.0, n=3),
        "exposed.items": Score(value=None, reason="cannot tell: x"),
        "split.p": Score(value=0.5),
    }
    assert weakened(scores, "unlike") == {"exposed.patients": Score(value=0.0, n=3, reason="unlike")}
    assert weakened(scores, "") == {}
