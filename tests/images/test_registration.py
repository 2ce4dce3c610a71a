"""Alignment at full size: an altered copy is alike once it is aligned, other images are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate, shift

from benchmark.images.registration import align, find_placement, move


def image(seed: int, *shape: int) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), min(shape) / 16)
    return (127 + 60 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


ALTERED = {
    "flip": lambda given: given[:, ::-1],
    "upside down": lambda given: given[::-1],
    "rotated": lambda given: rotate(given, 8, axes=(0, 1), reshape=False, order=1, mode="nearest"),
    "shifted": lambda given: shift(given, [4] + [0] * (given.ndim - 1), order=1, mode="nearest"),
    "darker": lambda given: (given * 0.6 + 20).astype(np.float32),
    "half size": lambda given: given[tuple(slice(None, None, 2) for _ in given.shape)],
}


@pytest.mark.parametrize("shape", [(96, 80), (40, 32, 24)])
@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_found_once_aligned(shape: tuple[int, ...], name: str) -> None:
    original = image(0, *shape)
    altered = ALTERED[name](original)
    aligned = align(altered, original)
    assert aligned.correlation > 0.97
    assert aligned.image.shape == altered.shape
    assert np.corrcoef(aligned.image.ravel(), altered.ravel().astype(float))[0, 1] > 0.7  # the border is filled


@pytest.mark.parametrize("shape", [(96, 80), (40, 32, 24)])
def test_other_images_stay_different(shape: tuple[int, ...]) -> None:
    assert max(align(image(seed, *shape), image(seed + 50, *shape)).correlation for seed in range(5)) < 0.8


def test_a_constant_image_is_like_nothing() -> None:
    assert align(np.full((40, 40), 7, np.uint8), image(1, 40, 40)).correlation <= 0


def test_the_same_images_give_the_same_number() -> None:
    first, second = (align(image(3, 64, 64), image(4, 64, 64)).correlation for _ in range(2))
    assert first == second


@pytest.mark.parametrize("shape", [(96, 80), (40, 32, 24)])
def test_a_placement_holds_at_any_size(shape: tuple[int, ...]) -> None:
    original = image(0, *shape)
    placement = find_placement(ALTERED["flip"](ALTERED["rotated"](original)), original)
    large = [np.repeat(np.repeat(given, 2, axis=0), 2, axis=1) for given in (original, ALTERED["rotated"](original))]
    assert move(ALTERED["flip"](large[1]), large[0], placement).correlation > 0.97
    assert move(large[1], large[0], placement).correlation < 0.9  # without the flip it is another image
