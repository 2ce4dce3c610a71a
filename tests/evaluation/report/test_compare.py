"""What a pair of images shows: alignment, difference, local similarity and joint grey values."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.report.compare import LARGEST, compare, difference, fit, local_similarity, scatter, to_grey

from .conftest import smooth

EVERYWHERE = np.ones((64, 64), bool)


def test_small_images_stay_as_they_are() -> None:
    image = smooth(0, 60, 45)
    assert fit(image, 64) is image


def test_large_images_keep_their_proportions_and_their_mean() -> None:
    image = smooth(0, 200, 100)
    small = fit(image, 50)
    assert small.shape == (50, 25)
    assert small.dtype == np.uint8
    assert small.mean() == pytest.approx(image.mean(), abs=2)


def test_a_thin_volume_keeps_its_slices() -> None:
    volume = np.arange(6, dtype=np.float32) + np.zeros((90, 70, 1), np.float32)
    small = fit(volume, 40)
    assert small.shape == (40, 40, 6)
    assert np.allclose(small[20, 20], np.arange(6))


@pytest.mark.parametrize("size", [640, 100, 41])
def test_a_reduced_image_spans_the_same_field_of_view(size: int) -> None:
    """On a ramp each new pixel is the mean of the area that it stands for."""
    ramp = np.arange(size, dtype=np.float32) / size + np.zeros((size, 1), np.float32)
    small = fit(ramp, 20)
    assert np.abs(small - (np.arange(20) + 0.5) / 20 + 0.5 / size)[:, 3:-3].max() < 1e-3


def test_a_fine_pattern_vanishes_when_reduced() -> None:
    """Every second column bright: without smoothing, picking pixels would show stripes or a flat black or white."""
    fine = np.tile(np.array([0, 255], np.uint8), (120, 60))
    inner = fit(fine, 40)[2:-2, 2:-2].astype(float)
    assert inner.mean() == pytest.approx(127.5, abs=3)
    assert inner.std() < 20


def test_a_copy_in_another_contrast_shows_no_difference() -> None:
    image = smooth(1, 64, 64)
    assert difference(image, 0.4 * image.astype(float) + 31, EVERYWHERE).max() < 1e-9


def test_a_difference_is_in_grey_ranges_of_the_synthetic_image() -> None:
    image = smooth(1, 64, 64).astype(float)
    changed = image.copy()
    changed[:8, :8] += 100
    low, high = np.percentile(changed, [0.5, 99.5])
    gap = difference(changed, image, EVERYWHERE)
    assert gap[:8, :8].mean() == pytest.approx(100 / (high - low), abs=0.03)
    assert gap[20:, 20:].mean() < 0.03


def test_a_negative_is_no_copy() -> None:
    image = smooth(1, 64, 64)
    assert difference(image, 255 - image, EVERYWHERE).mean() > 0.1


def test_nothing_is_compared_where_the_training_image_has_no_pixels() -> None:
    image = smooth(1, 64, 64)
    covered = EVERYWHERE.copy()
    covered[:, :10] = False
    moved = np.where(covered, image, 0)
    gap = difference(image, moved, covered)
    assert np.isnan(gap[:, :10]).all()
    assert gap[:, 10:].max() < 1e-9  # the missing part does not disturb the match of brightness


def test_local_similarity_is_the_correlation_in_the_window() -> None:
    first, second = smooth(1, 90, 90), smooth(2, 90, 90)
    similar = local_similarity(first, second)
    window = np.s_[40 - 3 : 40 + 4, 50 - 3 : 50 + 4]
    expected = np.corrcoef(first[window].ravel().astype(float), second[window].ravel().astype(float))[0, 1]
    assert similar[40, 50] == pytest.approx(expected, abs=1e-9)


def test_local_similarity_shows_which_half_is_copied() -> None:
    first, second = smooth(1, 64, 64), smooth(2, 64, 64)
    half = np.concatenate([first[:, :32], second[:, 32:]], axis=1)
    similar = local_similarity(first, half)
    assert similar[:, :28].min() > 0.999
    assert np.nanmean(similar[:, 36:]) < 0.6


def test_flat_background_is_not_alike() -> None:
    image = smooth(1, 64, 64)
    image[:, :20] = 0
    similar = local_similarity(image, image)
    assert np.isnan(similar[:, :12]).all()
    assert similar[:, 24:].min() > 0.999


def test_grey_values_against_each_other() -> None:
    """A copy fills the rising diagonal: bright with bright, at the top on the right."""
    image = smooth(1, 64, 64)
    counts = scatter(image, image, EVERYWHERE)
    assert counts.shape == (64, 64)
    dark = np.argwhere(counts < 255)
    assert (dark[:, 0] + dark[:, 1] == 63).all()


def test_grey_levels_span_the_limits() -> None:
    assert to_grey(np.array([[-1.0, 0.0, 3.0, 9.0]]), (0.0, 3.0)).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("shape", [(64, 48), (20, 24, 16)])
def test_a_mirrored_copy_is_moved_back(shape: tuple[int, ...]) -> None:
    image, other = smooth(1, *shape), smooth(2, *shape)
    compared = compare(image[::-1], image, other)
    assert compared.training.shape == compared.heldout.shape == shape  # type: ignore[union-attr]
    assert compared.reduced == 1
    assert np.nanmean(compared.difference) < 0.03
    assert np.nanmean(compared.local) > 0.9


def test_without_a_held_out_image_the_pair_alone_is_compared() -> None:
    assert compare(smooth(1, 40, 40), smooth(1, 40, 40), None).heldout is None


def test_large_pairs_are_reduced_and_say_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LARGEST, 2, 40)
    compared = compare(smooth(1, 80, 60), smooth(1, 100, 90), smooth(2, 30, 30))
    assert compared.synthetic.shape == compared.training.shape == (40, 30)
    assert compared.reduced == 2
