"""Would a copy among these synthetic images be seen? Not if most of them resemble no training image in any way.

Noise, images of another organ and inverted images copy nobody in the eyes of a detector. Two numbers per image are
compared with what they are for training images, each against training images of other patients: the correlation with
the nearest one, and the distance in texture. Neither needs an anatomy that all images share. Weak but honest generators
draw blurred or averaged images with some noise: these correlate more with their nearest training image, not less, and
texture is compared with training images that are altered in these ways, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.percent import percent
from benchmark.core.types import chunks, patient_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.core.types import Split
    from benchmark.detectors.fitting import Items

    Floats = NDArray[np.float64]

SEED = 0
MOST = 300
"""Images of each side that are compared, drawn by seed: shares are then known to 3 % (one standard error at 0.5)."""
SMALL = 4096
"""Pixels to which larger images are averaged: 64 x 64, or 16 x 16 x 16. Seconds, and noise is still seen in them."""
AT_ONCE = 2**20
"""Pixels that are read at once."""
UNLIKE = 0.5
"""Share of synthetic images beyond the range of training images from which an all-clear is refused: most of the set
would then not be found whatever it copies."""
NEAR, TEXTURE = 0.01, 0.05
"""Share of training images beyond either range. Correlation with the nearest image is what detectors see copies by, so
that only its extremes are refused; a cohort of very different images has textures of all kinds, and 1 % would not tell
noise from them (lung patches of LUNA16: docs/protocol.md)."""
ERROR = 0.001
"""Probability that synthetic images of the same law as the training images are refused, at most, for each number."""
BLURS = (1 / 128, 1 / 64, 1 / 32)
"""Standard deviations of the blur of weak generators, as fractions of the longest side."""
NOISES = (0.05, 0.1)
"""Standard deviations of noise, as fractions of the range."""
GAMMAS = (0.7, 1.4)
SCALE = 8
"""Texture is described at the size of the images and of their halves, while a side has so many pixels."""
ROUNDING = 1e-3
"""Training images that are all the same have a range of zero width."""

LESS_LIKE = (
    "are less like their nearest training image than 99 % of the training images are like one of another patient"
)
FARTHER = (
    "are farther in texture from all training images (blurred, averaged and noisy ones among them) than 95 % of the "
    "training images are from those of other patients"
)


def unlike_training(samples: Items, train: Split) -> tuple[float, str]:
    """Return the share of samples that are unlike all training images, and why an empty list would mean nothing.

    The reason is empty where the share is below UNLIKE, or no larger than the sampling error allows. So few patients
    and samples that even noise would not be called unlike give a reason, too, with a share of 0.
    """
    own, drawn = (_drawn(len(one)) for one in (train, samples))
    units = patient_codes([train.dealt[row] for row in own])
    patients = int(units.max()) + 1
    if patients < 2 or _most(len(drawn), patients, NEAR) > 1:
        few = f"{patients} training patient{'s' * (patients > 1)} and {len(samples)} synthetic images"
        return (
            0.0,
            f"{few} are too few to tell whether these are unlike the training images, such as noise: look at them",
        )
    real, made = reduced(train, own), reduced(samples, drawn)
    near, texture = unlikeness(made, real, units), texture_distances(made, real, units)
    told = {LESS_LIKE: _refused(*near, NEAR, patients), FARTHER: _refused(*texture, TEXTURE, patients)}
    what, share = max(told.items(), key=lambda pair: pair[1])
    if not share:
        return 0.0, ""
    figure = f"{percent(share, 0)} of the synthetic images {what}"
    return share, f"{figure}: look whether they are noise, inverted, or other things"


def _drawn(count: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(count)[:MOST])


def reduced(items: Items, rows: NDArray[np.int64]) -> Floats:
    """Return images (n, C, *spatial) in [-1, 1], averaged to at most SMALL pixels where sides are long enough."""
    pixels = int(np.prod(items.stored(rows[:1]).shape[1:]))
    parts = []
    for part in chunks(len(rows), max(1, AT_ONCE // pixels)):
        images = items.images(rows[part]).astype(np.float64)
        while np.prod(images.shape[2:]) > SMALL and (smaller := _halved(images)).shape != images.shape:
            images = smaller
        parts.append(images)
    return np.concatenate(parts)


def _halved(images: Floats) -> Floats:
    """Average pairs of pixels along each axis of at least SCALE pixels; an odd last one is left out."""
    for axis in range(2, images.ndim):
        if images.shape[axis] >= SCALE:
            pairs = images.shape[axis] // 2
            first, second = (np.take(images, np.arange(start, 2 * pairs, 2), axis=axis) for start in (0, 1))
            images = (first + second) / 2
    return images


def _normalised(images: Floats) -> Floats:
    """Centre each channel of each image, and divide it by its contrast: offset and scale hide no copy."""
    axes = tuple(range(2, images.ndim))
    spread = images.std(axis=axes, keepdims=True)
    return np.asarray((images - images.mean(axis=axes, keepdims=True)) / np.where(spread > 1e-6, spread, 1.0))


def unlikeness(made: Floats, real: Floats, units: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return 1 - the greatest correlation with a training image, of each sample, (N,), and of each training image with
    those of other patients, (T,). `units` (T,) are the patients of the training images `real`."""
    rows, bank = (_normalised(one).reshape(len(one), -1) for one in (made, real))
    among = np.where(units[:, None] == units, -np.inf, bank @ bank.T)
    return 1 - (rows @ bank.T).max(axis=1) / bank.shape[1], 1 - among.max(axis=1) / bank.shape[1]


def texture_distances(made: Floats, real: Floats, units: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the distance in texture of each sample to the nearest training image, altered or not, (N,), and of each
    training image to the nearest one of another patient, (T,)."""
    first = described(real)
    spread = first.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    rows, bank = described(made) / scale, first / scale
    to_made, to_real = np.full(len(rows), np.inf), np.full(len(bank), np.inf)
    for altered in _altered(real):
        other = described(altered) / scale
        to_made = np.minimum(to_made, _distances(rows, other).min(axis=1))
        between = np.where(units[:, None] == units, np.inf, _distances(bank, other))
        to_real = np.minimum(to_real, between.min(axis=1))
    return to_made, to_real


def _altered(images: Floats) -> list[Floats]:
    """Return training images (n, C, *spatial) as they are, and as weak generators draw such images."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(SEED)

    def blurred(ones: Floats, fraction: float) -> Floats:
        sigmas = (0.0, 0.0, *(fraction * max(ones.shape[2:]),) * (ones.ndim - 2))
        return np.asarray(gaussian_filter(ones, sigmas))

    averaged = np.mean([images, *(images[rng.permutation(len(images))] for _ in range(2))], axis=0)
    noisy = [np.clip(images + rng.normal(0, 2 * noise, images.shape), -1, 1) for noise in NOISES]
    contrasts = [2 * ((np.clip(images, -1, 1) + 1) / 2) ** gamma - 1 for gamma in GAMMAS]
    blurs = [blurred(images, fraction) for fraction in BLURS]
    return [images, *blurs, averaged, blurred(averaged, BLURS[0]), *noisy, *contrasts]


def described(images: Floats) -> Floats:
    """Describe the texture of images (n, C, *spatial) in numbers (n, D) that know no place.

    Per channel: skewness and kurtosis of the grey values; then at each scale the mean square of the differences of
    neighbours (the power of that octave), how it differs between directions, and their kurtosis, which is high for
    edges and 3 for noise (Field 1987; Simoncelli & Olshausen 2001).
    """
    images = _normalised(images)
    return np.concatenate([_of_channel(images[:, [channel]]) for channel in range(images.shape[1])], axis=1)


def _of_channel(images: Floats) -> Floats:
    numbers = [_moment(images, 3), np.log1p(_moment(images, 4))]
    while True:
        steps = [np.diff(images, axis=axis) for axis in range(2, images.ndim) if images.shape[axis] > 1]
        powers = [np.log(np.square(step).reshape(len(step), -1).mean(axis=1) + 1e-6) for step in steps]
        edges = np.mean([np.log1p(_moment(step, 4)) for step in steps], axis=0)
        numbers += [np.mean(powers, axis=0), *(power - powers[0] for power in powers[1:]), edges]
        images = _halved(images)
        if max(images.shape[2:]) < SCALE:
            return np.stack(numbers, axis=1)


def _moment(images: Floats, order: int) -> Floats:
    """Return the standardised central moment, the third or fourth, of each image (n, ...), (n,); 0 if constant."""
    flat = images.reshape(len(images), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    squares = centred * centred  # products, as powers of arrays take ten times as long
    variance = squares.mean(axis=1)
    safe = np.where(variance > 1e-12, variance, 1.0)
    moments = np.einsum("ij,ij->i", squares, squares if order == 4 else centred) / flat.shape[1]
    return np.asarray(moments / safe ** (order / 2))


def _distances(first: Floats, second: Floats) -> Floats:
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _refused(made: Floats, real: Floats, beyond: float, patients: int) -> float:
    """Return the share of samples above all but `beyond` of the training images; 0 where it is too small to refuse."""
    share = beyond_share(made, real, beyond)
    return share if share >= max(UNLIKE, _most(len(made), patients, beyond)) else 0.0


def _most(samples: int, patients: int, beyond: float) -> float:
    """Return the least share that is refused, which samples of the same law reach with probability ERROR at most.

    Under one law the share beyond the k-th largest of n independent draws is Beta(k, n + 1 - k), and the number among N
    samples beta-binomial. Images of one patient are alike: patients are the draws.
    """
    from scipy.stats import betabinom

    rank = int(beyond * patients) + 1
    return (float(betabinom.isf(ERROR, samples, rank, patients + 1 - rank)) + 1) / samples


def beyond_share(made: Floats, real: Floats, beyond: float) -> float:
    """Return the share of samples (N,) above all but `beyond` of the training images (T,)."""
    ordered = np.sort(real)
    return float((made > ordered[len(real) - 1 - int(beyond * len(real))] + ROUNDING).mean())
