"""A picture of prompts and seeds beside the training images that come nearest. Private: it shows patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.storage import replacing
from benchmark.text.truth import Truth

if TYPE_CHECKING:
    from benchmark.contracts import Images

PROMPTS, SEEDS = 12, 8


def draw_grid(path: Path, table: pd.DataFrame, images: Images, truth: Truth) -> None:
    """Draw a row for each of the prompts with the highest d_mem.

    Args:
        path: of the PNG.
        table: d_mem, copied and group of P prompts.
        images: (P, S, C, height, width) in [-1, 1]; the first channel is shown.
        truth: has the training images.
    """
    from matplotlib.figure import Figure

    top = table["d_mem"].to_numpy().argsort()[::-1][:PROMPTS]
    columns = min(SEEDS, images.shape[1]) + 1
    figure = Figure(figsize=(1.1 * columns + 1.6, 1.15 * len(top)), dpi=120)
    axes = np.asarray(figure.subplots(len(top), columns, squeeze=False))
    for axis in axes.flat:
        axis.set_axis_off()
    for place, line in zip(top, axes, strict=True):
        shown = [truth.nearest_image(images[place, :1]), *images[place, : columns - 1]]
        for axis, image in zip(line, shown, strict=True):
            axis.imshow(image[0], cmap="gray", vmin=-1, vmax=1)
        row = table.iloc[place]
        note = f"{row['group']}\nd_mem {row['d_mem']:.2f}\ncopied {row['copied']:.2f}"
        line[0].text(-0.08, 0.5, note, transform=line[0].transAxes, ha="right", va="center", fontsize=8)
    axes[0, 0].set_title("nearest\nin training", fontsize=8)
    for number, axis in enumerate(axes[0, 1:]):
        axis.set_title(f"seed {number}", fontsize=8)
    figure.subplots_adjust(
        left=1.3 / figure.get_figwidth(), right=0.99, top=0.95, bottom=0.01, wspace=0.05, hspace=0.05
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
