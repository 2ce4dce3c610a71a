"""Synthetic images that resemble no training image give no all-clear; blurred, averaged and noisy ones may."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from benchmark.core.types import Split
from benchmark.evaluation.like_training import described, unlike_training
from benchmark.evaluation.unlike_samples import unlike_score

from .conftest import InMemory

SIDE = 32


def blobs(seed: int, count: int) -> np.ndarray:
    """Discs at random places on a dark ground, (count, 1, SIDE, SIDE): no two images have an anatomy in common."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:SIDE, :SIDE]
    images = np.full((count, 1, SIDE, SIDE), 20.0)
    for image in images[:, 0]:
        for _ in range(5):
            (down, right), radius = rng.uniform(0, SIDE, 2), rng.uniform(2, 6)
            image[np.hypot(y - down, x - right) < radius] = rng.uniform(80, 220)
    return images + 4 * rng.standard_normal(images.shape)


def levels(images: np.ndarray) -> np.ndarray:
    return np.clip(images, 0, 255).round().astype(np.uint8)


def split(images: np.ndarray, patients: int = 0) -> Split:
    pixels = levels(images)
    rows = np.arange(len(pixels))
    names = tuple(f"p{row % (patients or len(rows))}" for row in rows)
    return Split(name="train", pixels=pixels, rows=rows, subjects=names, items=names, channels=("x",))


def told(samples: np.ndarray, train: Split) -> str:
    return unlike_training(InMemory(levels(samples)), train)[1]


def fields(cells: int, count: int = 80) -> np.ndarray:
    rng = np.random.default_rng(3)
    smooth = [zoom(rng.standard_normal((cells, cells)), SIDE / cells, order=3) for _ in range(count)]
    return 100 + 40 * np.stack(smooth)[:, None]


def other(blur: float, images: np.ndarray) -> np.ndarray:
    return gaussian_filter(images, (0, 0, blur, blur))


def noise(spread: float, shape: tuple[int, ...]) -> np.ndarray:
    return spread * np.random.default_rng(4).standard_normal(shape)


TRAIN, NEW = blobs(0, 120), blobs(1, 80)
HONEST = {
    "new patients": NEW,
    "blurred": other(1.0, NEW),
    "averages of three": (NEW + np.roll(NEW, 1, axis=0) + np.roll(NEW, 2, axis=0)) / 3,
    "noisy": NEW + noise(20, NEW.shape),
    "half the scale, brighter": NEW / 2 + 60,
}
WRONG = {
    "noise": 128 + noise(40, NEW.shape),
    "noise that is a little smooth": 128 + 8 * other(2.0, noise(40, NEW.shape)),
    "pixels in another order": np.random.default_rng(5).permuted(NEW.reshape(80, -1), axis=1).reshape(NEW.shape),
    "smooth fields": fields(4),
    "inverted": 255 - NEW,
    "gradients": np.broadcast_to(np.linspace(20, 200, SIDE), NEW.shape) + 20 * NEW[:, :, :1, :1] / 255,
    "noise above all": NEW + noise(120, NEW.shape),
}


@pytest.mark.parametrize("kind", HONEST)
def test_weak_but_honest_generators_may_be_cleared(kind: str) -> None:
    assert told(HONEST[kind], split(TRAIN)) == ""


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_like_no_training_image_is_not_cleared(kind: str) -> None:
    assert told(WRONG[kind], split(TRAIN)) != ""


def test_half_of_the_samples_decide() -> None:
    """A part of a set is unlike the training images by chance, or by the fault of a weak generator."""
    some, most = NEW.copy(), NEW.copy()
    some[:30], most[:60] = WRONG["noise"][:30], WRONG["noise"][:60]
    assert told(some, split(TRAIN)) == ""
    share, why = unlike_training(InMemory(levels(most)), split(TRAIN))
    assert share == 61 / 80  # one by chance
    assert why == (
        "76 % of the synthetic images are farther in texture from all training images (blurred, averaged and noisy "
        "ones among them) than 95 % of the training images are from those of other patients: look whether they are "
        "noise, inverted, or other things"
    )


def test_few_patients() -> None:
    """One training patient sets no range; four do for noise, and new patients are refused in 1 of 1,000 sets."""
    assert told(WRONG["noise"], split(TRAIN[:20], patients=1)) == (
        "1 training patient and 80 synthetic images are too few to tell whether these are unlike the training images, "
        "such as noise: look at them"
    )
    assert told(WRONG["noise"][:8], split(TRAIN[:3])).startswith("3 training patients and 8 synthetic images are too ")
    assert told(WRONG["noise"][:20], split(TRAIN[:3])).startswith("100 % of the synthetic images are ")
    assert told(WRONG["noise"], split(TRAIN[:4])) != ""
    assert [told(blobs(100 + seed, 40), split(blobs(seed, 4))) for seed in range(20)] == [""] * 20


def test_images_of_one_patient_do_not_narrow_the_range() -> None:
    """Each of 30 patients has five images that are nearly the same: samples are compared with other patients' ones."""
    repeated = np.concatenate([TRAIN[:30]] * 5) + noise(3, (150, *TRAIN.shape[1:]))
    assert told(NEW, split(repeated, patients=30)) == ""


def test_training_images_that_are_all_the_same() -> None:
    same = split(np.repeat(TRAIN[:1], 50, axis=0))
    assert told(np.repeat(TRAIN[:1], 50, axis=0), same) == ""
    assert told(NEW, same) != ""


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 8), (64, 96), (24, 24, 4)])
def test_sizes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    smooth = 128 + 300 * gaussian_filter(rng.standard_normal((160, 1, *shape)), (0, 0, *(1.5,) * len(shape)))
    assert told(smooth[:60], split(smooth[60:])) == ""
    assert told(128 + 60 * rng.standard_normal((60, 1, *shape)), split(smooth[60:])) != ""


def test_two_channels_and_constant_images() -> None:
    both = np.concatenate([TRAIN, TRAIN[::-1]], axis=1)
    assert np.isfinite(described(np.concatenate([both[:2] / 127.5 - 1, np.zeros((1, *both.shape[1:]))]))).all()
    train = Split(
        name="train", pixels=levels(both), rows=np.arange(120), subjects=tuple(map(str, range(120))),
        items=tuple(map(str, range(120))), channels=("x", "y"),
    )  # fmt: skip
    new = np.concatenate([NEW, blobs(2, 80)], axis=1)
    assert told(new, train) == ""
    assert told(128 + noise(40, new.shape), train) != ""


def test_the_share_and_the_reason_are_those_of_a_run_too() -> None:
    score = unlike_score(InMemory(levels(WRONG["noise"])), split(TRAIN))
    assert score.value == 1
    assert score.reason.startswith(
        "100 % of the synthetic images are less like their nearest training image than 99 % "
    )
    assert "; 100 % of the samples are unlike the training images: " in score.reason
