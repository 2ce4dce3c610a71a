"""The panels of one suspect, ready for the page: 2D images, or volumes as sheets of slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.evaluation.report.compare import (
    DIFFERENCE_WHITE,
    Compared,
    compare,
    fit,
    scatter,
    stored_grey,
    to_grey,
)
from benchmark.evaluation.report.encode import data_uri, difference_colours, encode_all, map_colours, png, webp

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.evaluation.report.data import ReportImages, Suspect

GREY, FIXED, PLOT = "grey", "fixed", "plot"
"""Kinds of panels: `grey` ones follow the window, `fixed` ones have a scale of their own, `plot` is no image."""
BESIDE_SIDE = 160
"""Pixels per side of the slices before and after: they are there for orientation."""
SMOOTH_QUALITY = 85
"""WebP quality of maps of similarity, which are smooth, and of slices that are there for orientation."""


@dataclass(frozen=True)
class Panel:
    """One image of a suspect."""

    label: str
    alternative: str
    """What a screen reader says."""
    kind: str
    uri: str
    width: int
    height: int
    volume: bool = False
    """Whether the image is a sheet of slices."""


@dataclass(frozen=True)
class Sheet:
    """How the slices of a volume are laid out in one image: axial slices from the feet up, row by row."""

    columns: int
    """Slices per row of the sheet."""
    width: int
    height: int
    depth: int
    """Size of the volume in pixels: right to left, front to back, and number of slices."""
    spacing: tuple[float, float, float]
    """Millimetres, or 1 each."""


@dataclass(frozen=True)
class Shown:
    """What the page shows of one suspect."""

    panels: tuple[Panel, ...]
    sheet: Sheet | None
    reduced: float
    """The factor by which the synthetic image was reduced; 1 where it is at its own size."""
    quality: int | None
    """WebP quality; nothing where no detail was lost."""


def show(suspect: Suspect, images: ReportImages, limit: int) -> Shown:
    """Open, compare and encode the images of one suspect in at most about `limit` bytes."""
    heldout = images.real(suspect.heldout_row) if suspect.heldout_row >= 0 else None
    compared = compare(images.synthetic(suspect.synthetic), images.real(suspect.train_row), heldout)
    panels, quality = _encoded(compared, limit)
    volume = compared.synthetic.ndim == 3
    sheet = _sheet(compared.synthetic, images, suspect.synthetic) if volume else None
    return Shown((*panels, *_beside(suspect, images)), sheet, compared.reduced, quality)


LABELS = {
    "synthetic": ("Synthetic", "the synthetic image", GREY),
    "training": ("Training, aligned", "the training image, moved onto the synthetic image", GREY),
    "difference": ("Difference", "where the two differ: black is equal", FIXED),
    "local": ("Local similarity", "correlation near each point: light is alike, dark is not", FIXED),
    "heldout": (
        "Nearest held-out, aligned", "the most similar image that the model has not seen, moved in the same way", GREY
    ),
}  # fmt: skip
"""Label, alternative text and kind of each panel, in the order of the page."""
SCATTER = ("Grey values", "grey values of the synthetic image, upwards, against those of the training image")


def _encoded(compared: Compared, limit: int) -> tuple[list[Panel], int | None]:
    """Return the panels; the images of patients share one quality, so that a difference is no trace of it."""
    images = _images(compared)
    limits = (0.0, 255.0) if stored_grey(list(images.values())) else None
    drawn = {name: _flat(to_grey(image, limits)) for name, image in images.items()}
    height, width = drawn["synthetic"].shape
    drawn["difference"] = difference_colours(_flat(compared.difference), DIFFERENCE_WHITE)
    local = webp(map_colours(_flat(compared.local)), SMOOTH_QUALITY)
    files, quality = encode_all(list(drawn.values()), limit - len(local))
    uris = dict(zip(drawn, files, strict=True)) | {"local": local}
    volume = compared.synthetic.ndim == 3
    panels = [
        Panel(*LABELS[name], data_uri(uris[name]), width, height, volume) for name in LABELS if name in uris
    ]  # fmt: skip
    plot = scatter(compared.synthetic, compared.training, compared.covered)
    return [*panels, Panel(*SCATTER, PLOT, data_uri(png(plot)), *plot.shape)], quality


def _images(compared: Compared) -> dict[str, Array]:
    images = {"synthetic": compared.synthetic, "training": compared.training}
    return images if compared.heldout is None else images | {"heldout": compared.heldout}


def _flat(image: Array) -> Array:
    """Return a 2D image as it is, and a volume (x, y, z) in RAS+ as a sheet of axial slices.

    Each slice is drawn as radiologists see it: the patient's right side on the left, the front on top.
    """
    if image.ndim == 2:
        return image
    slices = image[::-1, ::-1].transpose(2, 1, 0)
    columns = sheet_columns(len(slices))
    rows = -(-len(slices) // columns)
    depth, height, width = slices.shape
    padded = np.zeros((rows * columns, height, width), image.dtype)
    padded[:depth] = slices
    return padded.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)


def sheet_columns(depth: int) -> int:
    """Return how many of so many slices stand in one row of a sheet."""
    return math.ceil(math.sqrt(depth))


def _sheet(volume: Array, images: ReportImages, position: int) -> Sheet:
    width, height, depth = volume.shape
    given: Sequence[float] = images.spacing_mm(position) if images.spacing_mm else ()
    original = images.synthetic(position).shape
    # A reduced volume has larger voxels; the proportions of each axis are kept only up to rounding.
    spacing = [step * many / few for step, many, few in zip(given or (1, 1, 1), original, volume.shape, strict=True)]
    return Sheet(sheet_columns(depth), width, height, depth, (spacing[0], spacing[1], spacing[2]))


def _beside(suspect: Suspect, images: ReportImages) -> list[Panel]:
    """Return the slices before and after the training slice, as Akbar et al. 2025 show them (2305.07644)."""
    if images.beside is None:
        return []
    panels = []
    for label, row in zip(("before", "after"), images.beside(suspect.train_row), strict=True):
        if row >= 0:
            image = fit(images.real(row), BESIDE_SIDE)
            file = webp(to_grey(image), SMOOTH_QUALITY)
            text = f"the training volume's slice {label} this one, not moved"
            panels.append(Panel(f"Slice {label}", text, GREY, data_uri(file), image.shape[1], image.shape[0]))
    return panels
