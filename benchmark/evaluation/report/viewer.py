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
    grey_range,
    in_colour,
    scatter,
    stored_grey,
    to_grey,
)
from benchmark.evaluation.report.encode import data_uri, difference_colours, encode_all, map_colours, png, webp
from benchmark.images.registration import Placement, find_placement

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
class View:
    """The panels of one channel, of all channels in colour, or of an image with one channel."""

    name: str
    """Empty where there is one channel."""
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Shown:
    """What the page shows of one suspect."""

    views: tuple[View, ...]
    """What the reader switches between; the first is shown at the start."""
    sheet: Sheet | None
    reduced: float
    """The factor by which the synthetic image was reduced; 1 where it is at its own size."""
    quality: int | None
    """WebP quality; nothing where no detail was lost."""


COLOUR = ("red", "green", "blue")
"""Channels that are one colour image."""


def view_names(images: ReportImages) -> tuple[str, ...]:
    """Return what the reader of a report switches between: channels, and colour before them; one name at least."""
    return ("colour", *images.channels) if images.channels == COLOUR else images.channels or ("",)


def show(suspect: Suspect, images: ReportImages, limit: int) -> Shown:
    """Open, compare and encode the images of one suspect in at most about `limit` bytes."""
    names = view_names(images)
    compared = _compared(suspect, images)
    if len(compared) < len(names):
        compared = [in_colour(compared), *compared]
    beside = images.beside(suspect.train_row) if images.beside else ()
    encoded = [_encoded(one, limit // len(names)) for one in compared]
    views = tuple(
        View(name, (*panels, *_beside(beside, images, name))) for name, (panels, _) in zip(names, encoded, strict=True)
    )
    first = compared[0]
    sheet = _sheet(first, images, suspect.synthetic) if first.covered.ndim == 3 else None
    lossy = [quality for _, quality in encoded if quality is not None]
    return Shown(views, sheet, first.reduced, min(lossy, default=None))


def _compared(suspect: Suspect, images: ReportImages) -> list[Compared]:
    """Return the comparison of each channel. All are moved as the first one is."""
    rows = (suspect.train_row, suspect.heldout_row)
    placements = [_placement(suspect.synthetic, row, images) for row in rows]
    # Functions of images with one channel need not know of channels.
    channels: list[tuple[int, ...]] = [(place,) for place in range(len(images.channels))] or [()]
    compared = []
    for channel in channels:
        heldout = images.real(rows[1], *channel) if rows[1] >= 0 else None
        opened = (images.synthetic(suspect.synthetic, *channel), images.real(rows[0], *channel), heldout)
        compared.append(compare(*opened, (placements[0], placements[1])))
    return compared


def _placement(number: int, row: int, images: ReportImages) -> Placement | None:
    """Return how a real image is moved onto a synthetic one; nothing without a real one."""
    if row < 0:
        return None
    if images.placement is not None:
        return images.placement(number, row)
    return find_placement(images.synthetic(number), images.real(row))


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
    volume = compared.covered.ndim == 3
    stored = stored_grey(list(images.values())) and not volume
    drawn = {
        name: _flat(to_grey(image, (0.0, 255.0) if stored else grey_range(image)), volume)
        for name, image in images.items()
    }
    height, width = drawn["synthetic"].shape[:2]
    drawn["difference"] = difference_colours(_flat(compared.difference, volume), DIFFERENCE_WHITE)
    local = webp(map_colours(_flat(compared.local, volume)), SMOOTH_QUALITY)
    files, quality = encode_all(list(drawn.values()), limit - len(local))
    uris = dict(zip(drawn, files, strict=True)) | {"local": local}
    panels = [
        Panel(*LABELS[name], data_uri(uris[name]), width, height, volume) for name in LABELS if name in uris
    ]  # fmt: skip
    plot = scatter(_grey(compared.synthetic, compared), _grey(compared.training, compared), compared.covered)
    return [*panels, Panel(*SCATTER, PLOT, data_uri(png(plot)), *plot.shape)], quality


def _images(compared: Compared) -> dict[str, Array]:
    images = {"synthetic": compared.synthetic, "training": compared.training}
    return images if compared.heldout is None else images | {"heldout": compared.heldout}


def _grey(image: Array, compared: Compared) -> Array:
    """Return an image without its colours."""
    in_colours = image.ndim > compared.covered.ndim
    return image.mean(axis=-1) if in_colours else image


def _flat(image: Array, volume: bool) -> Array:
    """Return a 2D image as it is, and a volume (x, y, z) in RAS+, with or without colours, as a sheet of axial slices.

    Each slice is drawn as radiologists see it: the patient's right side on the left, the front on top.
    """
    if not volume:
        return image
    slices = image[::-1, ::-1].swapaxes(0, 2)
    columns = sheet_columns(len(slices))
    rows = -(-len(slices) // columns)
    depth, height, width, *colours = slices.shape
    padded = np.zeros((rows * columns, height, width, *colours), image.dtype)
    padded[:depth] = slices
    tiled = padded.reshape(rows, columns, height, width, *colours).swapaxes(1, 2)
    return tiled.reshape(rows * height, columns * width, *colours)


def sheet_columns(depth: int) -> int:
    """Return how many of so many slices stand in one row of a sheet."""
    return math.ceil(math.sqrt(depth))


def _sheet(compared: Compared, images: ReportImages, position: int) -> Sheet:
    shape = compared.covered.shape
    width, height, depth = shape
    given: Sequence[float] = images.spacing_mm(position) if images.spacing_mm else ()
    # A reduced volume has larger voxels; the proportions of each axis are kept only up to rounding.
    spacing = [step * many / few for step, many, few in zip(given or (1, 1, 1), compared.size, shape, strict=True)]
    return Sheet(sheet_columns(depth), width, height, depth, (spacing[0], spacing[1], spacing[2]))


def _beside(rows: Sequence[int], images: ReportImages, view: str) -> list[Panel]:
    """Return the slices before and after the training slice, as Akbar et al. 2025 show them (2305.07644)."""
    panels = []
    for label, row in zip(("before", "after"), rows, strict=False):
        if row >= 0:
            image = fit(_opened(images, row, view), BESIDE_SIDE)
            file = webp(to_grey(image), SMOOTH_QUALITY)
            text = f"the training volume's slice {label} this one, not moved"
            panels.append(Panel(f"Slice {label}", text, GREY, data_uri(file), image.shape[1], image.shape[0]))
    return panels


def _opened(images: ReportImages, row: int, view: str) -> Array:
    """Return the channel of a real image that a view shows; the first one for a view in colour."""
    if not images.channels:
        return images.real(row)
    return images.real(row, images.channels.index(view) if view in images.channels else 0)
