"""Detector `pixels` is Pearson's correlation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.detectors.pixels import Pixels
from benchmark.planted import PLANTED


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(6, 1, 8, 9), (5, 3, 7, 7), (4, 2, 5, 4, 3)], ids=str)
def test_inner_products_are_pearson_s_correlations(shape: tuple[int, ...]) -> None:
    given = images(*shape)
    rows = Pixels().embed(given)
    assert rows.dtype == np.float32
    assert rows.shape == (shape[0], np.prod(shape[1:]))
    np.testing.assert_allclose(rows @ rows.T, np.corrcoef(given.reshape(shape[0], -1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_channels_count_together() -> None:
    """One mean over all channels: a channel that is brighter throughout is part of the likeness."""
    given = np.zeros((2, 2, 4, 4), np.float32)
    given[0, 0], given[1, 1] = 0.5, 0.5
    rows = Pixels().embed(given)
    assert rows[0] @ rows[1] == pytest.approx(-1)


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.0), (1.0, -0.3), (0.2, 0.6)])
def test_brightness_and_contrast_do_not_matter(scale: float, offset: float) -> None:
    given = images(4, 1, 12, 12)
    np.testing.assert_allclose(
        Pixels().embed(np.float32(scale) * given + np.float32(offset)), Pixels().embed(given), atol=1e-6
    )
    np.testing.assert_allclose(Pixels().embed(-given), -Pixels().embed(given), atol=1e-7)


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.1, 1.0])
def test_a_constant_image_is_a_zero_row(level: float) -> None:
    given = images(3, 1, 16, 16)
    given[1] = level
    rows = Pixels().embed(given)
    assert np.isfinite(rows).all()
    assert not rows[1].any()
    np.testing.assert_allclose(np.linalg.norm(rows[[0, 2]], axis=1), 1, atol=1e-6)


def test_rounding_of_a_constant_image_is_no_content() -> None:
    given = np.full((1, 1, 32, 32), 0.1, np.float32)
    given[0, 0, ::2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert not Pixels().embed(given).any()


def test_one_grey_level_is_content() -> None:
    given = np.full((1, 1, 64, 64), -1.0, np.float32)
    given[0, 0, 3, 3] = 1 / 127.5 - 1
    assert np.linalg.norm(Pixels().embed(given)) == pytest.approx(1)


def test_batches_do_not_matter() -> None:
    given = images(7, 1, 9, 9)
    single = np.concatenate([Pixels().embed(given[[i]]) for i in range(7)])
    assert np.array_equal(Pixels().embed(given), single)


def test_the_given_images_are_left_alone() -> None:
    given = images(2, 1, 6, 6)
    before = given.copy()
    Pixels().embed(given)
    assert np.array_equal(given, before)


def test_invariances_are_names_of_planted_copies() -> None:
    assert set(Pixels().invariances) <= set(PLANTED)
