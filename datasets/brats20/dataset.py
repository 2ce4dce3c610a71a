"""BraTS 2020: axial brain MR slices, prepared as by Akbar et al. (2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.options import suggest
from benchmark.core.types import Items, Source
from benchmark.images.readers import Image, NaN, read_image
from benchmark.images.readers.image import remarks_on
from benchmark.images.resize import pad_to, shrink, shrink_labels, to_uint8

from .layout import CHANNELS, Case, find_cases

if TYPE_CHECKING:
    from benchmark.core.types import Array

SIDE = 256
"""The square to which slices are padded; BraTS is 240 x 240, so 8 pixels are added on each side."""
LABELS = 5
"""The segmentation is written as label / 5 x 255: labels 1, 2, 4 become 51, 102, 204."""


@dataclass(frozen=True)
class Brats20:
    """Axial slices of brain MR, five channels, uint8.

    Args:
        image_size: side of an item in pixels; below 256 the padded slice is reduced by averaging.
        channels: which of t1, t2, flair, t1ce, seg, in which order.
        threshold: grey level (0 to 255) above which a T1 pixel counts as head.
        content: a slice is kept if more than this fraction of its plane is head.
        nan: what NaN means in a file of floats: `refuse` it, or `background`, the least finite value of the file.
    """

    image_size: int = SIDE
    channels: tuple[str, ...] = CHANNELS
    threshold: float = 50.0
    content: float = 0.15
    nan: NaN = "refuse"

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= SIDE:
            raise UsageError(
                f"image_size {self.image_size} does not fit: a BraTS slice has {SIDE} pixels per side",
                f"choose a size from 8 to {SIDE}",
            )
        _require_channels(self.channels)

    def sources(self, root: Path) -> Sequence[Source]:
        """List the cases under root that have every requested channel and T1.

        Raises MissingDataError where there is no case, BadDataError where none is complete.
        """
        cases = find_cases(root)
        complete = [case for case in cases if not self._missing(case)]
        if not complete:
            raise BadDataError(
                f"none of the {len(cases)} cases under {root} is complete: "
                f"{cases[0].name} has no {' and no '.join(self._missing(cases[0]))}",
                f"choose from the channels that are there, such as --channels {','.join(_present(cases[0]))}",
            )
        return [self._source(case) for case in complete]

    def remarks(self, root: Path) -> dict[str, list[str]]:
        """Name the cases that `sources` skips, by what they lack, and those with an automatic segmentation."""
        cases_by_remark: dict[str, list[str]] = {}
        for case in find_cases(root):
            missing = self._missing(case)
            if missing:
                cases_by_remark.setdefault(f"left out, no {' and no '.join(missing)}", []).append(case.name)
            elif "seg" in self.channels and case.automatic:
                cases_by_remark.setdefault("automatic segmentation used as seg", []).append(case.name)
        return cases_by_remark

    def read(self, source: Source) -> Items:
        """Read one case as n slices (n, C, image_size, image_size), uint8, from the feet to the head.

        Rows run from front to back, columns from the patient's right to left (radiological view).
        Raises BadDataError for a damaged file, different shapes in one case, or no positive voxel.
        """
        head = read_image(source.files[0], nan=self.nan)
        remarks = dict.fromkeys(remarks_on([head], source.name))
        bright = _slices(head, slice(None)) > self.threshold * _greatest(head, source.files[0]) / 255
        plane = max(SIDE, *bright.shape[1:]) ** 2
        kept = np.flatnonzero(bright.sum(axis=(1, 2)) > self.content * plane)
        pixels = np.empty((len(kept), len(self.channels), self.image_size, self.image_size), np.uint8)
        for position, (channel, file) in enumerate(zip(self.channels, source.files[1:], strict=True)):
            image = head
            if file != source.files[0]:
                image = read_image(file, constant_ok=channel == "seg", nan=self.nan)
                remarks |= dict.fromkeys(remarks_on([image], source.name))
            pixels[:, position] = self._planes(channel, image, file, head, kept)
        return Items(
            pixels=pixels,
            names=tuple(f"z{z:03d}" for z in kept),
            spacing_mm=_spacing(head, self.image_size),
            orientation=head.orientation,
            remarks=tuple(remarks),
        )

    def _source(self, case: Case) -> Source:
        files = [str(case.files[channel]) for channel in ("t1", *self.channels)]
        return Source(subject=case.patient, name=case.name, files=tuple(files))

    def _missing(self, case: Case) -> list[str]:
        return [channel for channel in dict.fromkeys(("t1", *self.channels)) if channel not in case.files]

    def _planes(self, channel: str, image: Image, file: str, head: Image, kept: Array) -> Array:
        _require_same_grid(image, head, file)
        levels = _labels(image, file, kept) if channel == "seg" else _grey(image, file, kept)
        square = pad_to(to_uint8(levels), (max(SIDE, *levels.shape[1:]),) * 2)
        return shrink_labels(square, self.image_size) if channel == "seg" else shrink(square, self.image_size)


def _present(case: Case) -> list[str]:
    return [channel for channel in CHANNELS if channel in case.files]


def _slices(image: Image, kept: Array | slice) -> Array:
    """Convert (x, y, z) in RAS+ to (z, rows front to back, columns right to left)."""
    return image.pixels[::-1, ::-1].T[kept]


def _grey(image: Image, file: str, kept: Array) -> Array:
    """Scale by the maximum of the volume to 0 ... 255, float32; values below 0 become 0."""
    levels = _slices(image, kept).astype(np.float32)
    levels *= np.float32(255 / _greatest(image, file))
    return np.maximum(levels, 0, out=levels)


def _greatest(image: Image, file: str) -> float:
    greatest = float(image.pixels.max())
    if greatest <= 0:
        raise BadDataError(f"{file} has no voxel above 0", "export it again, or leave this case out")
    return greatest


def _labels(image: Image, file: str, kept: Array) -> Array:
    labels = image.pixels
    if labels.min() < 0 or labels.max() > LABELS or np.any(labels != np.floor(labels)):
        raise BadDataError(
            f"{file} is not a BraTS segmentation: it holds values other than whole labels from 0 to {LABELS}",
            "give the file with the tumour labels 0, 1, 2, 4, or leave seg out of the channels",
        )
    return _slices(image, kept).astype(np.float32) * (255 / LABELS)


def _require_same_grid(image: Image, head: Image, file: str) -> None:
    if image.pixels.shape != head.pixels.shape:
        raise BadDataError(
            f"{file} has shape {image.pixels.shape}, but the T1 of its case has {head.pixels.shape}",
            "register the modalities of this case to one grid, or leave it out",
        )


def _spacing(head: Image, image_size: int) -> tuple[float, ...]:
    x, y = head.spacing_mm[:2]
    step = max(SIDE, *head.pixels.shape[:2]) / image_size
    return (round(y * step, 6), round(x * step, 6))


def _require_channels(channels: tuple[str, ...]) -> None:
    for channel in channels:
        if channel not in CHANNELS:
            raise UsageError(
                f"BraTS has no channel {channel!r}", f"{suggest(channel, CHANNELS)}choose from {', '.join(CHANNELS)}"
            )
    if not channels or len(set(channels)) < len(channels):
        raise UsageError(
            f"channels {','.join(channels)!r} must name at least one channel, and none twice",
            f"choose from {', '.join(CHANNELS)}",
        )
