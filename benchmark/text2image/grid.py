"""A figure of generated images by prompt and seed, next to the nearest training images. Private: it shows patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.files import atomic_write
from benchmark.text2image.copy_oracle import CopyOracle

if TYPE_CHECKING:
    from benchmark.core.types import Images

PROMPTS, SEEDS = 12, 8


def draw_grid(path: Path, labels: Sequence[str], images: Images, oracle: CopyOracle) -> None:
    """Draw one row per prompt.

    Args:
        path: of the PNG file.
        labels: text in front of each of the P rows.
        images: (P, S, C, height, width) in [-1, 1]; the first channel of up to 8 seeds is shown.
        oracle: finds the nearest training image.
    """
    from matplotlib.figure import Figure

    columns = min(SEEDS, images.shape[1]) + 1
    figure = Figure(figsize=(1.1 * columns + 1.6, 1.15 * len(labels)), dpi=120)
    axes = np.asarray(figure.subplots(len(labels), columns, squeeze=False))
    for axis in axes.flat:
        axis.set_axis_off()
    for label, row, axes_of_row in zip(labels, images, axes, strict=True):
        shown = [oracle.nearest_image(row[:1]), *row[: columns - 1]]
        for axis, image in zip(axes_of_row, shown, strict=True):
            axis.imshow(image[0], cmap="gray", vmin=-1, vmax=1)
        first = axes_of_row[0]
        first.text(-0.08, 0.5, label, transform=first.transAxes, ha="right", va="center", fontsize=8)
    axes[0, 0].set_title("nearest\nin training", fontsize=8)
    for number, axis in enumerate(axes[0, 1:]):
        axis.set_title(f"seed {number}", fontsize=8)
    figure.subplots_adjust(
        left=1.3 / figure.get_figwidth(), right=0.99, top=0.95, bottom=0.01, wspace=0.05, hspace=0.05
    )
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
