"""A figure of the first suspects, next to the training images that they look like."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from benchmark.images.registration import align

if TYPE_CHECKING:
    from benchmark.core.types import Array
    from benchmark.runs.audit import Audit

COLUMNS = ("synthetic", "training, aligned", "difference")
INCHES = 2.2


class SuspectFigure(Figure):
    """A figure that notebooks show without pyplot, which would keep it in memory."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def suspects_figure(audit: Audit, count: int) -> SuspectFigure:
    """Return a figure with one row per suspect, at most `count`; a sentence where there are none."""
    table = audit.suspects.head(count)
    if not len(table):
        figure = SuspectFigure(figsize=(6, 1))
        figure.text(0.5, 0.5, "no suspects", ha="center", va="center")
        return figure
    figure = SuspectFigure(figsize=(INCHES * len(COLUMNS), INCHES * len(table)), layout="constrained")
    axes = figure.subplots(len(table), len(COLUMNS), squeeze=False)
    for row, suspect in zip(axes, table.to_dict("records"), strict=True):
        images = pair(audit, int(suspect["synthetic"]), int(suspect["train_row"]))
        for place, (axis, image) in enumerate(zip(row, images, strict=True)):
            difference = place == len(COLUMNS) - 1
            axis.imshow(
                image, cmap="seismic" if difference else "gray", **({"vmin": -1, "vmax": 1} if difference else {})
            )
            axis.set_axis_off()
        row[0].set_title(f"{suspect['file']}", fontsize=7)
        row[1].set_title(f"{suspect['train_file']}, r = {suspect['full_size']:.3f}", fontsize=7)
        row[2].set_title("difference", fontsize=7)
    return figure


def pair(audit: Audit, synthetic: int, real: int) -> tuple[Array, Array, Array]:
    """Return a synthetic image, the training image aligned to it, and their difference, 2D, each scaled to 0 to 1."""
    fixed = np.asarray(audit.full_size.synthetic(synthetic), dtype=np.float32)
    moved = align(fixed, audit.full_size.real(real)).image
    one, other = (_unit(_plane(image)) for image in (fixed, moved))
    return one, other, one - other


def _plane(image: Array) -> Array:
    """Return a 2D image: of a volume (x, y, z) its middle slice, as radiologists see it."""
    return image if image.ndim == 2 else image[:, :, image.shape[2] // 2].T[::-1]


def _unit(plane: Array) -> Array:
    low, high = float(plane.min()), float(plane.max())
    scaled: Array = (plane - low) / (high - low or 1.0)
    return scaled
