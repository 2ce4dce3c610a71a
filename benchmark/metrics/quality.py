"""Quality of images: distances, neighbourhoods and diversity; callers add the same between real images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating]


NEIGHBOURHOODS = ("precision", "recall", "density", "coverage")


def frechet(synthetic: Floats, real: Floats) -> float:
    """Frechet distance between normal fits to two feature sets, (N, D) and (M, D); 0 or more, lower is nearer.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2) (Dowson & Landau 1982; Heusel et al. 2017, 1706.08500), by
    symmetric eigenvalues in float64: no matrix square root that changes between SciPy versions.
    """
    a, b = synthetic.astype(np.float64), real.astype(np.float64)
    gap = a.mean(axis=0) - b.mean(axis=0)
    S1, S2 = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(S1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    # Rounding may leave eigenvalues of a covariance slightly below 0: they are 0.
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ S2 @ root), 0, None)).sum()
    return float(max(0.0, gap @ gap + np.trace(S1) + np.trace(S2) - 2 * cross))


def kernel(synthetic: Floats, real: Floats) -> float:
    """Kernel distance: unbiased squared maximum mean discrepancy with (x.y / D + 1)^3, (N, D) and (M, D).

    Lower is nearer, 0 for the same law, below 0 by chance (Binkowski et al. 2018, 1801.01401).
    """
    a, b = synthetic.astype(np.float64), real.astype(np.float64)
    n, m, size = len(a), len(b), a.shape[1]
    within_a, within_b, between = ((x @ y.T / size + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    same_a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    same_b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(same_a + same_b - 2 * between.mean())


def neighbourhoods(synthetic: Floats, real: Floats, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage by k nearest neighbours, (N, D) and (M, D); higher is better.

    precision: share of synthetic items within the k-th neighbour distance of some real item; recall: the same with the
    sides swapped (Kynkaanniemi et al. 2019, 1904.06991). density: how many such balls hold a synthetic item, over k;
    coverage: share of real items whose ball holds one (Naeem et al. 2020, 2002.09797). One real outlier with a large
    ball lifts precision; density may pass 1; a generator that copies reads well in all four.
    """
    between = _distances(synthetic, real)
    ball_real = _kth(_distances(real, real), k)
    ball_synthetic = _kth(_distances(synthetic, synthetic), k)
    inside = between <= ball_real[None]
    return {
        "precision": float(inside.any(axis=1).mean()),
        "recall": float((between <= ball_synthetic[:, None]).any(axis=0).mean()),
        "density": float(inside.sum(axis=1).mean() / k),
        "coverage": float(inside.any(axis=0).mean()),
    }


def _distances(a: Floats, b: Floats) -> Floats:
    a, b = a.astype(np.float64), b.astype(np.float64)
    # |a|^2 + |b|^2 - 2 a.b in float64; cancellation may leave a small negative square for equal items.
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.clip(squares, 0, None)))


def _kth(distances: Floats, k: int) -> Floats:
    """Return the distance (N,) to the k-th other item, from (N, N) distances: position 0 is the item itself."""
    return np.asarray(np.partition(distances, min(k, len(distances) - 1), axis=1)[:, min(k, len(distances) - 1)])


def mifid(synthetic: Floats, real: Floats, distances: Floats, epsilon: float = 0.1) -> float:
    """Memorisation-informed Frechet distance: the distance over d where d, the memorisation distance, is below epsilon.

    Args:
        synthetic: (N, D) features.
        real: (M, D) features of held-out images.
        distances: (N,) least cosine distance 1 - |cos| of each sample to any training image
            (`patient_neighbours.memorisation_distances`): over a part of train a copy of the rest is missed.
        epsilon: d counts below it. It has no calibration: whether d counts as small depends on the encoder.

    d is the mean of the distances (Bai et al. 2021, 2106.03062). Lower is better; a replayer is punished by an
    exploding value.
    """
    d, distance = float(distances.mean()), frechet(synthetic, real)
    return distance / max(d, 1e-12) if d < epsilon else distance


def mifid_score(synthetic: Floats, real: Floats, distances: Floats, *, seed: int) -> Score:
    """MiFID with a 95 % interval over synthetic images; arguments as for `mifid`."""
    if min(len(synthetic), len(real)) < 2:
        return Score(value=None, n=len(synthetic), reason="a covariance needs two images per side")
    both = np.concatenate([synthetic, distances[:, None]], axis=1)  # a sample keeps its distance when it is resampled
    score = resampled(lambda rows: {"": mifid(rows[:, :-1], real, rows[:, -1])}, both, seed=seed)[""]
    return replace(score, direction="lower")


def ms_ssim_pairs(images: NDArray[np.float32], *, pairs: int = 100, seed: int = 0) -> Floats:
    """MS-SSIM of random pairs of different images (N, C, *spatial) in [-1, 1]: (pairs,), high where all look alike.

    Wang et al. 2003, through MONAI; as many of its five scales as the image size allows. Raises ValueError below 2
    images or 11 pixels.
    """
    import torch
    from monai.metrics import MultiScaleSSIMMetric

    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    smallest = min(images.shape[2:])
    scales = min(5, int(np.log2(smallest / 11)) + 1) if smallest >= 11 else 0
    if scales < 1 or len(images) < 2:
        raise ValueError("MS-SSIM needs two images of at least 11 pixels per side")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(images), pairs)
    second = (first + rng.integers(1, len(images), pairs)) % len(images)
    metric = MultiScaleSSIMMetric(
        spatial_dims=images.ndim - 2, data_range=2.0, weights=tuple(weights[:scales] / weights[:scales].sum())
    )
    return np.asarray(metric(torch.from_numpy(images[first]), torch.from_numpy(images[second])), dtype=np.float64)[:, 0]


def standardised(features: Floats, *, like: Floats) -> Floats:
    """Centre and scale each feature (N, D) by mean and spread over `like` (M, D).

    Untrained features differ in scale by orders of magnitude: without scaling, the largest would decide all distances.
    """
    spread = like.std(axis=0)
    return np.asarray((features - like.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def frechet_score(synthetic: Floats, real: Floats, *, seed: int, resamples: int = 50) -> Score:
    """Score the Frechet distance of (N, D) to (M, D), with a 95 % interval over synthetic items."""
    if min(len(synthetic), len(real)) < 2:
        return Score(value=None, n=len(synthetic), reason="a covariance needs two items on each side")
    score = resampled(lambda items: {"": frechet(items, real)}, synthetic, seed=seed, resamples=resamples)[""]
    return replace(score, low=max(0.0, score.low or 0.0), direction="lower")


def resampled(
    rule: Callable[[Floats], dict[str, float]], synthetic: Floats, *, seed: int, resamples: int = 50
) -> dict[str, Score]:
    """Score a rule of synthetic features (N, D), with 95 % intervals over them.

    Resampling repeats items, which moves most distances by a bias of its own, so resamples are centred on the value.
    """
    values, rng = rule(synthetic), np.random.default_rng(seed)
    drawn = [rule(synthetic[rng.integers(0, len(synthetic), len(synthetic))]) for _ in range(resamples)]
    scores = {}
    for name, value in values.items():
        spread = np.array([one[name] for one in drawn])
        low, high = np.quantile(spread - spread.mean() + value, [0.025, 0.975])
        scores[name] = Score(value=value, low=float(min(low, value)), high=float(max(high, value)), n=len(synthetic))
    return scores


def kernel_score(synthetic: Floats, real: Floats, *, seed: int) -> Score:
    """Score the kernel distance of (N, D) to (M, D), with a 95 % interval over synthetic items."""
    if min(len(synthetic), len(real)) < 2:
        return Score(value=None, n=len(synthetic), reason="pairs need two items on each side")
    return replace(resampled(lambda x: {"": kernel(x, real)}, synthetic, seed=seed)[""], direction="lower")


def neighbourhood_scores(synthetic: Floats, real: Floats, *, seed: int, k: int = 5) -> dict[str, Score]:
    """Score precision, recall, density and coverage of (N, D) against (M, D), with 95 % intervals from random halves.

    Halves of the synthetic items, not draws with replacement: a repeated item has a neighbour at distance 0.
    """
    if min(len(synthetic), len(real)) < 2 * (k + 1):
        reason = f"{k} neighbours in a half need {2 * (k + 1)} items on each side"
        return dict.fromkeys(NEIGHBOURHOODS, Score(value=None, n=len(synthetic), reason=reason))
    values, rng = neighbourhoods(synthetic, real, k), np.random.default_rng(seed)
    halves = [rng.permutation(len(synthetic))[: len(synthetic) // 2] for _ in range(20)]
    drawn = [neighbourhoods(synthetic[half], real, k) for half in halves]
    scores = {}
    for name, value in values.items():
        spread = np.array([one[name] for one in drawn])
        low, high = np.quantile(spread - spread.mean() + value, [0.025, 0.975])
        most = np.inf if name == "density" else 1.0
        scores[name] = Score(
            value=value, low=float(max(0.0, min(low, value))), high=float(min(most, max(high, value))),
            n=len(synthetic), direction="higher",
        )  # fmt: skip
    return scores


def diversity_score(images: NDArray[np.float32], *, seed: int) -> Score:
    """Score the mean MS-SSIM of random pairs of images (N, C, *spatial); images too small for it are not scored."""
    try:
        values = ms_ssim_pairs(images, seed=seed)
    except ValueError as error:
        return Score(value=None, n=len(images), reason=str(error))
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return Score(value=mean, low=mean - half, high=mean + half, n=len(values))
