"""Frechet distance and MS-SSIM diversity against closed forms and independent references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import correlate1d

from benchmark.metrics.quality import (
    diversity_score,
    frechet,
    frechet_score,
    kernel,
    kernel_score,
    mifid,
    ms_ssim_pairs,
    neighbourhood_scores,
    neighbourhoods,
    standardised,
)

torch.set_num_threads(1)


def normal(rng: np.random.Generator, count: int, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Rows whose sample mean and sample covariance are exactly these."""
    rows = rng.standard_normal((count, len(mean)))
    rows -= rows.mean(axis=0)
    white = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return np.asarray(white @ np.linalg.cholesky(covariance).T + mean)


def covariance(rng: np.random.Generator, size: int) -> np.ndarray:
    root = rng.standard_normal((size, size))
    return np.asarray(root @ root.T + 0.1 * np.eye(size))


# Frechet


def test_frechet_of_commuting_covariances_is_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    first, second = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.25])
    shift = np.array([1.0, -2.0, 0.5])
    a = normal(rng, 50, np.zeros(3), np.diag(first))
    b = normal(rng, 80, shift, np.diag(second))
    expected = (shift**2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 7, 40])
def test_frechet_against_the_matrix_square_root(size: int) -> None:
    rng = np.random.default_rng(1)
    a = normal(rng, 100, rng.standard_normal(size), covariance(rng, size))
    b = normal(rng, 130, rng.standard_normal(size), covariance(rng, size))
    S1, S2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(axis=0) - b.mean(axis=0)
    expected = gap @ gap + np.trace(S1 + S2 - 2 * np.real(sqrtm(S1 @ S2)))
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_to_itself_is_zero() -> None:
    a = np.random.default_rng(2).standard_normal((60, 12))
    assert 0 <= frechet(a, a) < 1e-9
    assert 0 <= frechet(a, a[::-1]) < 1e-9


def test_a_shift_adds_its_square() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((60, 5)), rng.standard_normal((70, 5))
    step = np.array([1.0, 2.0, 0.0, 0.0, -3.0])
    assert frechet(a, a + step) == pytest.approx(14)
    gap = a.mean(axis=0) - b.mean(axis=0)
    assert frechet(a + step, b) - frechet(a, b) == pytest.approx(14 + 2 * step @ gap)


def test_fewer_items_than_features() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((10, 30)), rng.standard_normal((12, 30))
    assert frechet(a, a) < 1e-6
    assert np.isfinite(frechet(a, b))
    assert frechet(a, b) > 0


@pytest.mark.parametrize("seed", range(3))
def test_frechet_of_singular_covariances_is_a_real_number(seed: int) -> None:
    """20 items, 64 features: a general matrix root gives imaginary parts or NaN (mseitzer/pytorch-fid#13 and #117)."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((20, 64)), rng.standard_normal((20, 64)) @ np.diag(np.geomspace(1e-6, 1e3, 64))
    for first, second in ((a, b), (b, a), (a, a), (np.repeat(a[:1], 20, axis=0), b)):
        value = frechet(first, second)
        assert isinstance(value, float)
        assert np.isfinite(value)
        assert value >= 0
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-6)


def test_float32_features_are_summed_in_float64() -> None:
    rng = np.random.default_rng(5)
    a = (1e4 + rng.standard_normal((200, 4))).astype(np.float32)
    assert frechet(a, a) < 1e-6


def test_one_feature() -> None:
    a, b = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    assert frechet(a, b) == pytest.approx((1 - 3) ** 2 + (2**0.5 - 8**0.5) ** 2)


def test_frechet_score_holds_its_value() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((80, 6)) + 0.5, rng.standard_normal((90, 6))
    found = frechet_score(a, b, seed=0)
    assert found.value == frechet(a, b)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.value < found.high < 2 * found.value
    assert (found.n, found.direction) == (80, "lower")
    assert frechet_score(a, b, seed=0) == found


def test_one_item_has_no_covariance() -> None:
    found = frechet_score(np.zeros((1, 6)), np.ones((9, 6)), seed=0)
    assert (found.value, found.n, found.reason) == (None, 1, "a covariance needs two items on each side")


def test_standardised_features() -> None:
    rng = np.random.default_rng(7)
    like = rng.standard_normal((50, 4)) * [1, 100, 1e-3, 0] + [0, 5, 1, 2]
    found = standardised(like, like=like)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 1, 0], atol=1e-9)
    one = standardised(like[:1] + 1, like=like)
    np.testing.assert_allclose(one[0], (like[0] + 1 - like.mean(axis=0)) / [*like.std(axis=0)[:3], 1], atol=1e-9)


# MS-SSIM


def soft_images(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Images of one anatomy with their own texture."""
    common = np.sin(np.arange(size) / 3)[:, None] * np.cos(np.arange(size) / 4)
    return np.clip(0.7 * common + 0.2 * rng.standard_normal((count, 1, size, size)), -1, 1).astype(np.float32)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2004: Gaussian window of 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, range 2, valid places."""
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window /= window.sum()

    def mean(values: np.ndarray) -> np.ndarray:
        both = correlate1d(correlate1d(values, window, axis=0), window, axis=1)
        return np.asarray(both[5:-5, 5:-5])

    a, b = first.astype(np.float64), second.astype(np.float64)
    ma, mb = mean(a), mean(b)
    va, vb, cross = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    light = (2 * ma * mb + 0.02**2) / (ma**2 + mb**2 + 0.02**2)
    return float((light * (2 * cross + 0.06**2) / (va + vb + 0.06**2)).mean())


@pytest.mark.parametrize("size", [11, 16, 21])
def test_one_scale_is_ssim(size: int) -> None:
    two = soft_images(np.random.default_rng(8), 2, size)
    found = ms_ssim_pairs(two, pairs=3)
    np.testing.assert_allclose(found, ssim(two[0, 0], two[1, 0]), atol=1e-4)


@pytest.mark.parametrize("shape", [(11, 11), (12, 12), (22, 22), (43, 47), (44, 88), (12, 12, 12), (24, 22, 23)])
def test_every_size_of_eleven_or_more_is_scored(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(9)
    found = ms_ssim_pairs(rng.uniform(-1, 1, (4, 1, *shape)).astype(np.float32), pairs=5)
    assert found.shape == (5,)
    assert np.isfinite(found).all()
    assert (np.abs(found) <= 1).all()


def test_opposite_images_are_scored() -> None:
    one = soft_images(np.random.default_rng(10), 1, 48)
    assert np.isfinite(ms_ssim_pairs(np.concatenate([one, -one]), pairs=4)).all()


def test_pairs_are_never_an_image_with_itself() -> None:
    images = np.random.default_rng(11).uniform(-1, 1, (2, 1, 16, 16)).astype(np.float32)
    assert ms_ssim_pairs(images, pairs=50).max() < 0.9


def test_pairs_follow_the_seed() -> None:
    images = soft_images(np.random.default_rng(12), 12, 16)
    assert np.array_equal(ms_ssim_pairs(images, seed=1), ms_ssim_pairs(images, seed=1))
    assert not np.array_equal(ms_ssim_pairs(images, seed=1), ms_ssim_pairs(images, seed=2))


def test_collapse_reads_one_and_diversity_less() -> None:
    images = soft_images(np.random.default_rng(13), 10, 24)
    collapsed = diversity_score(np.repeat(images[:1], 10, axis=0), seed=0)
    assert collapsed.value == pytest.approx(1, abs=1e-5)
    diverse = diversity_score(images, seed=0)
    assert diverse.value is not None
    assert diverse.low is not None
    assert diverse.high is not None
    assert diverse.low < diverse.value < diverse.high
    assert diverse.high < 0.95
    assert diverse.direction == "none"


@pytest.mark.parametrize("shape", [(5, 1, 10, 10), (5, 1, 40, 8), (5, 1, 16, 16, 10), (1, 1, 32, 32)])
def test_what_is_too_small_is_not_scored(shape: tuple[int, ...]) -> None:
    found = diversity_score(np.zeros(shape, np.float32), seed=0)
    assert found.value is None
    assert found.n == shape[0]
    assert found.reason == "MS-SSIM needs two images of at least 11 pixels per side"


# Kernel distance, neighbourhoods, memorisation-informed distance


def slow_kernel(a: np.ndarray, b: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    within_a = [k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]
    within_b = [k(b[i], b[j]) for i in range(len(b)) for j in range(len(b)) if i != j]
    return float(np.mean(within_a) + np.mean(within_b) - 2 * np.mean([k(x, y) for x in a for y in b]))


def test_kernel_distance_is_its_sum_over_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((12, 4)), rng.standard_normal((9, 4)) + 0.3
    assert kernel(a, b) == pytest.approx(slow_kernel(a, b))
    assert kernel(b, a) == pytest.approx(kernel(a, b))


def test_kernel_distance_is_unbiased() -> None:
    rng = np.random.default_rng(1)
    drawn = [kernel(rng.standard_normal((40, 3)), rng.standard_normal((30, 3))) for _ in range(200)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / 200**0.5
    assert min(drawn) < 0


def slow_neighbourhoods(synthetic: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    def ball(items: np.ndarray, i: int) -> float:
        return float(np.sort([np.linalg.norm(items[i] - x) for j, x in enumerate(items) if j != i])[k - 1])

    real_balls = [ball(real, i) for i in range(len(real))]
    own_balls = [ball(synthetic, i) for i in range(len(synthetic))]
    hits = [[np.linalg.norm(s - r) <= radius for r, radius in zip(real, real_balls, strict=True)] for s in synthetic]
    back = [[np.linalg.norm(s - r) <= radius for s, radius in zip(synthetic, own_balls, strict=True)] for r in real]
    return {
        "precision": float(np.mean([any(row) for row in hits])),
        "recall": float(np.mean([any(row) for row in back])),
        "density": float(np.mean([sum(row) / k for row in hits])),
        "coverage": float(np.mean(np.any(hits, axis=0))),
    }


def test_neighbourhoods_by_loops() -> None:
    rng = np.random.default_rng(2)
    synthetic, real = 0.7 * rng.standard_normal((25, 3)) + 0.4, rng.standard_normal((30, 3))
    assert neighbourhoods(synthetic, real, 3) == pytest.approx(slow_neighbourhoods(synthetic, real, 3))


def test_precision_and_recall_swap_sides() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((40, 4)), 0.5 * rng.standard_normal((50, 4))
    assert neighbourhoods(a, b)["precision"] == neighbourhoods(b, a)["recall"]
    assert neighbourhoods(a, b)["recall"] == neighbourhoods(b, a)["precision"]
    assert neighbourhoods(a, b)["coverage"] != neighbourhoods(b, a)["coverage"]


def test_a_collapsed_generator_has_precision_and_no_coverage() -> None:
    rng = np.random.default_rng(4)
    real = rng.standard_normal((100, 4))
    found = neighbourhoods(np.repeat(real[:1], 100, axis=0) + 1e-3 * rng.standard_normal((100, 4)), real)
    assert found["precision"] == 1
    assert found["recall"] < 0.1
    assert found["coverage"] < 0.2


def slow_distances(made: np.ndarray, train: np.ndarray) -> np.ndarray:
    return np.array([min(1 - abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for y in train) for x in made])


def test_mifid_punishes_a_replayer() -> None:
    rng = np.random.default_rng(5)
    train, real, fresh = (rng.standard_normal((80, 20)) for _ in range(3))
    assert mifid(fresh, real, slow_distances(fresh, train)) == frechet(fresh, real)
    copies = train + 1e-3
    nearest = slow_distances(copies, train)
    assert mifid(copies, real, nearest) == pytest.approx(frechet(copies, real) / np.mean(nearest), rel=1e-6)
    assert mifid(copies, real, nearest) > 100 * frechet(copies, real)


def test_scores_hold_their_values() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((60, 5)) + 0.4, rng.standard_normal((70, 5))
    score = kernel_score(a, b, seed=0)
    assert score.value == kernel(a, b)
    assert score.direction == "lower"
    found = neighbourhood_scores(a, b, seed=0)
    assert {name: one.value for name, one in found.items()} == neighbourhoods(a, b)
    for one in (score, *found.values()):
        assert one.low is not None
        assert one.high is not None
        assert one.value is not None
        assert one.low <= one.value <= one.high
        assert one.n == 60


def test_too_few_items() -> None:
    few = np.zeros((1, 3))
    assert kernel_score(few, np.ones((9, 3)), seed=0).reason == "pairs need two items on each side"
    reasons = {score.reason for score in neighbourhood_scores(np.zeros((11, 3)), np.ones((99, 3)), seed=0).values()}
    assert reasons == {"5 neighbours in a half need 12 items on each side"}
