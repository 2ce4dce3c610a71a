"""Samples that look like no training image: another scale, latents taken for images, noise, channels in another order.

Such samples copy nobody, so that a model whose output was read wrongly would seem to have memorised nobody. A number
per image (its mean, its contrast, ...) is compared between samples and training images. Where both follow one law, the
share of samples outside the range of the training images is known exactly; a share far above it is said beside the
headline. It is not refused: a weak generator may well draw blurred images. What is like no single training image
(`like_training`) is said, too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.percent import percent
from benchmark.core.types import Score, chunks, to_pixels
from benchmark.evaluation.like_training import unlike_training

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from benchmark.core.types import Images, Split
    from benchmark.detectors.fitting import Items

    Floats = NDArray[np.float64]

FIGURE = "look at figures/samples.png"
LIKE_MEAN = "correlation with the mean training image"
SEED = 0
MOST, LEAST = 1000, 100
"""Images of each side that are described, drawn by seed: MOST, of large ones fewer."""
PIXELS, PIXELS_AT_ONCE = 2**27, 2**20
"""Pixels of one side: an evaluation should take seconds for this, and little memory."""
TRIM = 200
"""One of so many training images is left out at either end of the range: one odd image would widen it to anything."""
NOTED = 0.1
"""Smallest share that is said. About 1 % is expected, and no model follows its training images to that precision."""
ERROR = 0.001
"""Probability that samples of the same law as the training images are called unlike them, at most."""


def unlike_score(samples: Items, train: Split, like: tuple[float, str] | None = None) -> Score:
    """Return the largest share of samples outside 99 % of the training images in one number; the reason names which.

    `like` is what `unlike_training` returned of the same images, where it is known.
    """
    shares, noted, count = _shares(samples, train)
    share, why = like or unlike_training(samples, train)
    reason = "; ".join(part for part in (why, _reason(noted) if noted else "") if part)
    return Score(value=max(*shares.values(), share), n=count, direction="lower", reason=reason)


def unlike_mean(samples: Items, train: Split) -> float:
    """Return the share of samples less correlated with the mean training image than 99 % of the training images.

    Of several channels that of the worst; 0 where it is no larger than the sampling error allows.
    """
    _, noted, _ = _shares(samples, train)
    lower = [share for name, share in noted.items() if name.startswith(LIKE_MEAN) and name.endswith(" lower")]
    return max(lower, default=0.0)


def _shares(samples: Items, train: Split) -> tuple[dict[str, float], dict[str, float], int]:
    """Return the shares outside the range of training images by number and side, those of note, and the samples."""
    size = math.prod(train.shape)
    most = min(MOST, max(LEAST, PIXELS // size))
    rows, drawn_rows = (np.sort(np.random.default_rng(SEED).permutation(len(one))[:most]) for one in (train, samples))
    at_once = max(1, PIXELS_AT_ONCE // size)
    mean = np.sum([part.sum(axis=0, dtype=np.float64) for part in _parts(train, rows, at_once)], axis=0) / len(rows)
    real = describe(_parts(train, rows, at_once), mean, train.channels)
    drawn = describe(_parts(samples, drawn_rows, at_once), mean, train.channels)
    shares = {side: share for name in real for side, share in _outside(name, drawn[name], real[name]).items()}
    limit = _limit(len(drawn_rows), len({train.dealt[row] for row in rows}), len(shares))
    noted = {name: share for name, share in shares.items() if share >= limit}
    return shares, noted, len(drawn_rows)


def _parts(items: Items, rows: NDArray[np.int64], at_once: int) -> Iterator[Images]:
    return (items.images(rows[part]) for part in chunks(len(rows), at_once))


def describe(parts: Iterable[Images], mean: Floats, channels: tuple[str, ...]) -> dict[str, Floats]:
    """Return numbers that describe each image, (n,) by name; `mean` (C, *spatial) is the mean training image."""
    described = [_described(images, mean, channels) for images in parts]
    return {name: np.concatenate([part[name] for part in described]) for name in described[0]}


def _described(images: Images, mean: Floats, channels: tuple[str, ...]) -> dict[str, Floats]:
    numbers: dict[str, Floats] = {}
    for first, second in zip(range(len(channels)), range(1, len(channels)), strict=False):
        difference = (images[:, first] - images[:, second]).reshape(len(images), -1).astype(np.float64)
        pair = f"{channels[first]} and {channels[second]}"
        numbers[f"signed difference of {pair}"] = difference.mean(axis=1)
        numbers[f"difference of {pair}"] = np.abs(difference).mean(axis=1)
    for place, name in enumerate(channels):
        of = f" of {name}" if len(channels) > 1 else ""
        described = _of_channel(images[:, place].astype(np.float64), mean[place])
        numbers |= {f"{what}{of}": values for what, values in described.items()}
    return numbers


def _of_channel(images: Floats, mean: Floats) -> dict[str, Floats]:
    """Describe one channel, (n, *spatial) in [-1, 1]; `mean` (*spatial)."""
    flat, levels = images.reshape(len(images), -1), to_pixels(images.astype(np.float32), "uint8").astype(np.int16)
    contrast = flat.std(axis=1)
    steps = [np.abs(np.diff(images, axis=axis)).reshape(len(images), -1) for axis in range(1, images.ndim)]
    same = [(np.diff(levels, axis=axis) == 0).reshape(len(images), -1) for axis in range(1, images.ndim)]
    centred, target = flat - flat.mean(axis=1, keepdims=True), mean.ravel() - mean.mean()
    # Divided by the contrast: the same image on another scale is as rough. A constant image has neither.
    spread = np.where(contrast > 0, contrast, 1.0)
    return {
        "mean": flat.mean(axis=1),
        "contrast": contrast,
        "darkest pixel": flat.min(axis=1),
        "brightest pixel": flat.max(axis=1),
        "number of grey levels": np.array([len(np.unique(image)) for image in levels], dtype=np.float64),
        "roughness": np.concatenate(steps, axis=1).mean(axis=1) / spread,
        "share of flat areas": np.concatenate(same, axis=1).mean(axis=1),
        LIKE_MEAN: centred @ target / (spread * (target.std() or 1.0) * target.size),
    }


def _outside(name: str, drawn: Floats, real: Floats) -> dict[str, float]:
    """Return the share of samples below and above the range of real images."""
    ordered, trimmed = np.sort(real), len(real) // TRIM
    low, high = ordered[trimmed], ordered[-1 - trimmed]
    return {f"{name} lower": float((drawn < low).mean()), f"{name} higher": float((drawn > high).mean())}


def _limit(samples: int, patients: int, numbers: int) -> float:
    """Return the share from which samples are called unlike the training images.

    The part of a law outside the k-th smallest and k-th largest of P draws is Beta(2k, P + 1 - 2k), whatever the law,
    so that the number of N samples there is beta-binomial. Images of one patient are alike: patients are the draws, and
    each number is tested at its part of ERROR.
    """
    from scipy.stats import betabinom

    rank = patients // TRIM + 1
    if patients < 2 * rank:
        return float("inf")
    most = float(betabinom.isf(ERROR / numbers, samples, 2 * rank, patients + 1 - 2 * rank))
    return max(NOTED, (most + 1) / samples)


def _reason(noted: Mapping[str, float]) -> str:
    shown = sorted(noted.items(), key=lambda pair: -pair[1])[:4]
    return (
        f"{percent(shown[0][1], 0)} of the samples are unlike the training images: "
        f"{', '.join(f'{name} ({percent(share, 0)})' for name, share in shown)}, each beyond 99 % of the training "
        f"images; {FIGURE}: if they came out wrong (scale, channels, latents, noise), that they copy nobody says "
        "nothing of what the model has memorised"
    )
