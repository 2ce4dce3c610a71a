"""`memobench.watch`: memorisation seen from any training loop, in five lines.

watch = memobench.watch(train=train_images, heldout=heldout_images, patients=(train_ids, heldout_ids), every=500)
...
if watch.due(step):
    look = watch.update(step, sample(watch.samples))
    if watch.should_stop:
        break
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.api.arrays import as_array, of_side
from benchmark.api.stack import stacked
from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.files import cache_folder, content_key
from benchmark.core.source_digest import source_digest
from benchmark.core.types import Split, join_splits
from benchmark.evaluation.watch import SAMPLES, Look, Watch, open_watch
from benchmark.evaluation.watch_bank import Comparison, comparison
from benchmark.evaluation.watch_curve import read_curve, write_curve

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.core.types import Images

Patients = tuple[Sequence[object], Sequence[object]]
PIXELS = "pixels"


class TrainingWatch:
    """What `watch` returns. It holds the real images; give your sampling code nothing of it."""

    def __init__(self, watch: Watch, scale: tuple[float, float], axes: Axes, path: Path | None) -> None:
        self._watch, self._scale, self._axes, self._path = watch, scale, axes, path
        if path:
            watch.looks = read_curve(path)

    @property
    def samples(self) -> int:
        """How many samples to draw for a look."""
        return self._watch.samples

    def due(self, step: int) -> bool:
        """Whether it is time for a look after this step: every `every` steps at first, then at growing intervals."""
        return self._watch.due(step)

    def update(self, step: int, samples: Any) -> Look:
        """Compare samples of the model after a step, (n, C, *spatial) or (n, *spatial), with the real images.

        Draw them from the averaged weights if you sample from these later, with other random numbers each time, and in
        the range of the training images. A step that was looked at before replaces that look and all later ones, so
        that a resumed training repeats no row. Raises BadDataError, UsageError.
        """
        images = self._axes.samples(samples, self._watch.shape)
        look = self._watch.update(step, to_range(images, scale_of_samples(images, self._scale), "samples"))
        if self._path:
            write_curve(self._path, self._watch.looks)
        return look

    @property
    def should_stop(self) -> bool:
        """Whether the last two looks both show copies, at a level that holds over all looks."""
        return self._watch.should_stop

    @property
    def onset(self) -> int | None:
        """The step of the first of the first two looks in a row that show copies; None where there are none."""
        return self._watch.onset

    @property
    def curve(self) -> pd.DataFrame:
        """One row per look (docs/watching.md has the columns)."""
        return self._watch.curve


@dataclass(frozen=True)
class Axes:
    """What the user says of the axes of images."""

    layout: str | Mapping[str, str] | None
    key: str

    def real(self, given: Any, side: str) -> Images:
        """Return `train` or `heldout` as images (N, C, *spatial), of their own type."""
        return stacked(given, side, layout=of_side(self.layout, side), key=self.key).pixels

    def samples(self, given: Any, shape: tuple[int, ...]) -> Images:
        """Return samples as images (n, C, *spatial), of their own type; some may be NaN, which the look tells.

        Samples of the real images' shape (C, *spatial) need no layout: models draw with channels first.
        """
        stated = self.layout.get("samples") if isinstance(self.layout, Mapping) else None
        if stated is None and hasattr(given, "ndim") and tuple(given.shape[1:]) == shape and len(given):
            return as_array(given, "samples")
        return stacked(given, "samples", layout=stated, key=self.key, finite=False).pixels


def watch(
    *,
    train: Any,
    heldout: Any,
    every: int,
    patients: Patients | Mapping[str, Sequence[object]] | None = None,
    samples: int = SAMPLES,
    detector: str = PIXELS,
    layout: str | Mapping[str, str] | None = None,
    key: str = "image",
    path: Path | str | None = None,
    device: str = "auto",
) -> TrainingWatch:
    """Prepare to watch a training.

    Args:
        train: the images that the model is trained on, in memory and of one shape, as `audit` takes them: an array or
            torch tensor (N, H, W), (N, C, H, W), (N, H, W, C) or of volumes, a list of images, or a data set of PyTorch
            or MONAI, which is read once; uint8, or floating point in [0, 1] or [-1, 1].
        heldout: images of other patients of the same source, in the same range; never trained on.
        every: steps before the first look, and the shortest interval between two.
        patients: whose image each is: N names for train and M for held-out, a pair of lists or {"train": [...],
            "heldout": [...]}. Without it each image counts as a patient, which is wrong, and accuses too soon, where a
            patient has several.
        samples: drawn at each look.
        detector: `pixels`, which needs no training, or another one, such as `copy`, which is trained first and kept in
            the cache.
        layout: the axes where their sizes leave a doubt, such as "NCHW" or "NDHW" (volumes); a mapping from `train`,
            `heldout` and `samples` where they differ. Samples of the shape (n, C, *spatial) need none.
        key: what holds the image in entries that are dicts.
        path: of a Parquet file for the curve; looks that it holds already are continued.
        device: where another detector than `pixels` is trained.

    Raises BadDataError or UsageError for images, patients or numbers with which nothing could be seen.
    """
    if every < 1:
        raise UsageError(f"every is {every}", "give a number of steps of at least 1, such as 500")
    axes = Axes(layout, key)
    raw = axes.real(train, "train"), axes.real(heldout, "heldout")
    if raw[0].shape[1:] != raw[1].shape[1:]:
        raise BadDataError(
            f"training images have shape {raw[0].shape[1:]}, held-out images {raw[1].shape[1:]}",
            "prepare both in the same way",
        )
    scale = range_of(raw[0], "train")
    given = patients or (range(len(raw[0])), range(len(raw[0]), len(raw[0]) + len(raw[1])))
    names = patient_names(given, (len(raw[0]), len(raw[1])))
    splits = [
        _split(name, images if images.dtype == np.uint8 else to_range(images, scale, name), owners)
        for name, images, owners in zip(("train", "heldout"), raw, names, strict=True)
    ]
    compared = None if detector == PIXELS else by_detector(detector, splits[0], splits[1], device)
    looking = open_watch(splits[0], splits[1], every=every, samples=samples, compared=compared)
    return TrainingWatch(looking, scale, axes, Path(path) if path else None)


def range_of(images: Images, name: str) -> tuple[float, float]:
    """Return the grey levels that are black and white: 0 and 255 of uint8, else 0 and 1 or -1 and 1.

    Raises BadDataError for other ranges.
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= -1.01 and high <= 1.01):
        raise BadDataError(
            f"{name} has values from {low:g} to {high:g}", "give uint8, or floating point in [0, 1] or [-1, 1]"
        )
    return (-1.0, 1.0) if low < -0.01 else (0.0, 1.0)


def scale_of_samples(images: Images, train: tuple[float, float]) -> tuple[float, float]:
    """Return black and white of samples: those of the training images, but for floating point beside uint8.

    Models of uint8 images mostly draw [0, 1] or [-1, 1]. Read as grey levels of 255 these would all be black: no copy
    would be seen.
    """
    finite = images[np.isfinite(images)]
    if train == (0.0, 255.0) and images.dtype.kind == "f" and finite.size and float(finite.max()) <= 1.01:
        return range_of(finite, "samples")
    return train


def to_range(images: Images, scale: tuple[float, float], name: str) -> Images:
    """Map grey levels between black and white to [-1, 1], float32, and clip what is outside by rounding.

    Raises BadDataError where more than rounding is outside: the images are scaled in another way than the training
    images, and could look unlike all of them. Values that are not finite become NaN.
    """
    low, high = scale
    values: Images = (np.asarray(images, dtype=np.float32) - low) * (2 / (high - low)) - 1
    finite = values[np.isfinite(values)]
    if finite.size and (finite.min() < -1.5 or finite.max() > 1.5):
        raise BadDataError(
            f"{name} has values from {images.min():g} to {images.max():g}, the training images from {low:g} to "
            f"{high:g}",
            "scale both in the same way",
        )
    # Clipped, an infinite value would pass for white or black.
    return np.where(np.isfinite(values), np.clip(values, -1, 1), np.float32(np.nan))


def patient_names(
    patients: Patients | Mapping[str, Sequence[object]], counts: tuple[int, int]
) -> list[tuple[str, ...]]:
    """Return the patient of each training and of each held-out image. Raises BadDataError."""
    sides = [patients.get(side, ()) for side in ("train", "heldout")] if isinstance(patients, Mapping) else patients
    names = [tuple(map(str, side)) for side in sides]
    if len(names) != 2 or tuple(map(len, names)) != counts:
        given = " and ".join(str(len(side)) for side in names)
        raise BadDataError(
            f"patients names {given} images, and there are {counts[0]} training and {counts[1]} held-out images",
            "give patients=(names for train, names for heldout), one name per image",
        )
    both = sorted(set(names[0]) & set(names[1]))
    if both:
        raise BadDataError(
            f"{len(both)} patients are in train and in heldout, such as {both[0]}",
            "hold out patients of whom no image is trained on",
        )
    return names


def _split(name: str, images: Images, patients: tuple[str, ...]) -> Split:
    """Keep images (N, C, *spatial), uint8 or float32 in [-1, 1], as they are."""
    return Split(
        name=name,
        pixels=images,
        rows=np.arange(len(images)),
        subjects=patients,
        items=tuple(f"{name}-{number}" for number in range(len(images))),
        channels=tuple(f"channel {number}" for number in range(images.shape[1])),
    )


def by_detector(name: str, train: Split, heldout: Split, device: str) -> Comparison:
    """Compare by another detector, trained on all real images of both sides; it is kept in the cache."""
    from benchmark.detectors.fitting import all_rows, rows_in_memory, rows_of
    from benchmark.detectors.registry import choose
    from benchmark.plugins.registry import source_files
    from benchmark.search import Rows

    choice = choose(name)
    real = _joined(train, heldout)
    cache, code = cache_folder(), source_digest(*source_files("detectors", choice.card))
    key = content_key(choice.card.entry, choice.identity(cache), code, real.subjects, _digest(real))
    folder = cache / "watch" / f"{choice.card.name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    fitted = choice.options.fit(real, folder=folder, key=key, device=device)
    bank = Rows.of(all_rows(rows_of(fitted, real)), fitted.similarity)
    return comparison(train, heldout, bank, lambda images: rows_in_memory(fitted, images))


def _joined(train: Split, heldout: Split) -> Split:
    """Return both sides as one split over one array: `join_splits` takes splits of the same array."""
    pixels = np.concatenate([train.pixels, heldout.pixels])
    sides = [
        Split(
            name=side.name, pixels=pixels, rows=np.arange(len(side)) + start, subjects=side.subjects, items=side.items,
            channels=side.channels,
        )
        for side, start in ((train, 0), (heldout, len(train)))
    ]  # fmt: skip
    return join_splits("real", *sides)


def _digest(real: Split) -> str:
    digest = hashlib.sha256()
    for image in real.pixels:
        digest.update(image.tobytes())
    return digest.hexdigest()
