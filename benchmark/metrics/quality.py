"""Do the images look like the data? Frechet distance and MS-SSIM diversity, each with its real-against-real value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]


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
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ S2 @ root), 0, None)).sum()
    return float(max(0.0, gap @ gap + np.trace(S1) + np.trace(S2) - 2 * cross))


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
        raise ValueError("MS-SSIM needs two images of at least 11 pixels a side")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(images), pairs)
    second = (first + rng.integers(1, len(images), pairs)) % len(images)
    metric = MultiScaleSSIMMetric(
        spatial_dims=images.ndim - 2, data_range=2.0, weights=tuple(weights[:scales] / weights[:scales].sum())
    )
    return np.asarray(metric(torch.from_numpy(images[first]), torch.from_numpy(images[second])), dtype=np.float64)[:, 0]


def standardised(features: Floats, *, like: Floats) -> Floats:
    """Centre and scale each feature (N, D) by mean and spread over `like` (M, D).

    Untrained features differ in scale by orders of magnitude: unscaled, the brightest would be all that counts.
    """
    spread = like.std(axis=0)
    return np.asarray((features - like.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def frechet_score(synthetic: Floats, real: Floats, *, seed: int, resamples: int = 50) -> Score:
    """Frechet distance with a 95 % interval over synthetic items.

    Resampling adds distance of its own (the covariance loses rank), so the resamples are centred on the value.
    """
    if min(len(synthetic), len(real)) < 2:
        return Score(value=None, n=len(synthetic), reason="a covariance needs two items a side")
    value = frechet(synthetic, real)
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [frechet(synthetic[rng.integers(0, len(synthetic), len(synthetic))], real) for _ in range(resamples)]
    )
    low, high = np.quantile(drawn - drawn.mean() + value, [0.025, 0.975])
    return Score(
        value=value,
        low=max(0.0, float(min(low, value))),
        high=float(max(high, value)),
        n=len(synthetic),
        direction="lower",
    )


def diversity_score(images: NDArray[np.float32], *, seed: int) -> Score:
    """Mean MS-SSIM of random pairs with a 95 % interval; images too small for it are not scored."""
    try:
        values = ms_ssim_pairs(images, seed=seed)
    except ValueError as error:
        return Score(value=None, n=len(images), reason=str(error))
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return Score(value=mean, low=mean - half, high=mean + half, n=len(values))
