"""Private figures of a run: samples, and the most suspicious ones beside their nearest real items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cohorts.adjacent_slices import neighbours
from benchmark.core.files import atomic_write, file_name
from benchmark.metrics.published import BINS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from benchmark.adapters.sampling import Samples
    from benchmark.core.types import Array, Cohort, Images, Split
    from benchmark.evaluation.protocol import Outcome

SHOWN = 8
PANEL = 1.5
"""Inches a panel."""
JOINED = 10
"""Bins of the kept histograms that one bin of the figure holds: 0.02."""
NEAREST = {"": "synthetic to training", "_heldout": "synthetic to held-out", "_test": "test to training"}


def draw_figures(folder: Path, samples: Samples, cohort: Cohort, outcomes: dict[str, Outcome]) -> None:
    """Write samples.png, and pairs-DETECTOR.png and similarity-DETECTOR.png for each detector.

    They show patients, and never leave the run folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    real = cohort.real
    first = samples.images(np.arange(min(SHOWN, len(samples))))
    rows = {f"synthetic {i}": image for i, image in enumerate(first)}
    _save(folder / "samples.png", _grid(rows, cohort.train.channels, f"{cohort.name}: synthetic items"))
    for name, outcome in outcomes.items():
        _save(folder / f"pairs-{file_name(name)}.png", _pairs(name, outcome, samples, real))
        _save(folder / f"similarity-{file_name(name)}.png", _similarity(name, outcome))


def plane(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the middle slice of a volume (D, H, W) along its first axis; a 2D image stays."""
    return image[len(image) // 2] if image.ndim == 3 else image


def _grid(rows: dict[str, NDArray[np.float32]], channels: tuple[str, ...], title: str) -> Figure:
    """Items as columns, channels as rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL * len(rows), PANEL * len(channels) + 0.5), layout="constrained")
    axes = figure.subplots(len(channels), len(rows), squeeze=False)
    for column, (label, image) in enumerate(rows.items()):
        for row, channel in enumerate(channels):
            _show(axes[row, column], image[row])
            if column == 0:
                axes[row, 0].set_ylabel(channel, fontsize=8)
        axes[0, column].set_title(label, fontsize=7)
    figure.suptitle(title, fontsize=9)
    return figure


def _pairs(name: str, outcome: Outcome, samples: Samples, real: Split) -> Figure:
    """The synthetic items nearest to a training item, in the first channel, above what they are nearest to.

    Of slices also those before and after the training slice, as Akbar et al. 2025 show them (2305.07644).
    """
    from matplotlib.figure import Figure

    matches = outcome.matches
    order = np.argsort(-matches["similarity"].astype(float), kind="stable")[:SHOWN]
    trained = matches["train_row"][order]
    rows = [
        ("synthetic", samples.images(order), [f"{i}" for i in order]),
        ("nearest\ntraining", real.images(trained), _numbers(matches["similarity"][order])),
        *_beside(real, trained),
        (
            "nearest\nheld-out",
            real.images(matches["heldout_row"][order]),
            _numbers(matches["heldout_similarity"][order]),
        ),
    ]
    figure = Figure(figsize=(PANEL * len(order), PANEL * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(order), squeeze=False)
    for row, (label, images, titles) in enumerate(rows):
        axes[row, 0].set_ylabel(label, fontsize=8)
        for column, image in enumerate(images):
            _show(axes[row, column], image[0])
            axes[row, column].set_title(titles[column], fontsize=7)
    figure.suptitle(f"nearest pairs by detector {name}: private, shows patients", fontsize=9)
    return figure


def _beside(real: Split, rows: Array) -> list[tuple[str, Images, list[str]]]:
    """The slices before and after some; nothing where none of them has a neighbour."""
    sides = [positions[rows] for positions in neighbours(real.items)]
    if all((side < 0).all() for side in sides):
        return []
    shown_beside = []
    for label, side in zip(("slice\nbefore", "slice\nafter"), sides, strict=True):
        images = real.images(np.maximum(side, 0))
        images[side < 0] = -1
        shown_beside.append((label, images, ["" if row >= 0 else "none" for row in side]))
    return shown_beside


def _similarity(name: str, outcome: Outcome) -> Figure:
    """How similar items are to their nearest ones, as Akbar et al. 2025 show it (2305.07644), with both thresholds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.subplots()
    kept = {label: np.array(outcome.histograms[f"published.akbar2025{ending}"]) for ending, label in NEAREST.items()}
    counts = {label: bins.reshape(-1, JOINED).sum(axis=1) for label, bins in kept.items()}
    joined = BINS[::JOINED]
    seen = np.flatnonzero(sum(counts.values()))
    shown = slice(max(0, seen.min() - 1), min(seen.max() + 2, len(joined) - 1))
    edges = joined[shown.start : shown.stop + 1]
    for label, items in counts.items():
        axis.stairs(items[shown] / items.sum(), edges, label=label)
    thresholds = {"copies.tau": ("tau", ":"), "exposed.threshold": ("threshold of the headline", "--")}
    for score, (label, style) in thresholds.items():
        value = outcome.scores[score].value
        if value is not None:
            axis.axvline(value, color="black", linestyle=style, label=label)
    axis.set_xlabel(f"similarity to the nearest item, detector {name}")
    axis.set_ylabel("share of items")
    axis.legend(fontsize=8)
    return figure


def _numbers(values: NDArray[np.generic]) -> list[str]:
    return [f"{float(value):.3f}" for value in values]


def _show(axis: object, image: Images) -> None:
    axis.imshow(plane(image), cmap="gray", vmin=-1, vmax=1)  # type: ignore[attr-defined]
    axis.set_xticks([])  # type: ignore[attr-defined]
    axis.set_yticks([])  # type: ignore[attr-defined]


def _save(path: Path, figure: Figure) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
