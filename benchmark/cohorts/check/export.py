"""The files that a check leaves: its findings, the manifest of the cohort, and a contact sheet. All are private."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cohorts.check.report import Report
from benchmark.cohorts.exclusions import write_exclusions
from benchmark.cohorts.splits import NAMES
from benchmark.cohorts.store import Stored
from benchmark.core.files import atomic_write, content_key, write_json
from benchmark.core.types import Cohort, to_images

if TYPE_CHECKING:
    from benchmark.core.types import Array

COLUMNS, ROWS = 12, 5
"""Size of the contact sheet."""
SUSPECTS = 6
"""Pairs of near duplicates, and unusual items, shown below it."""


def write_dossier(folder: Path, report: Report, stored: Stored, cohort: Cohort, *, fix: bool) -> list[Path]:
    """Write check.json, manifest.json, contact.png and, with `fix`, exclude.csv; return their paths."""
    paths = [folder / name for name in ("check.json", "manifest.json", "contact.png")]
    write_json(paths[0], dataclasses.asdict(report) | {"ok": report.ok})
    write_json(paths[1], manifest(stored, cohort))
    _draw(paths[2], report, stored)
    if fix:
        paths.append(folder / "exclude.csv")
        write_exclusions(paths[3], report.fixes)
    return paths


def manifest(stored: Stored, cohort: Cohort) -> dict[str, object]:
    """Return every file with its digest, and every split with its items and a digest of them."""
    files = stored.files[["source", "subject", "file", "bytes", "sha256"]].to_dict("records")
    splits = {}
    for name in NAMES:
        items = getattr(cohort, name).items
        splits[name] = {"sha256": content_key(*items, length=64), "items": list(items)}
    return {"cohort": cohort.key, "files_key": cohort.files_key, "splits": splits, "files": files}


def _draw(path: Path, report: Report, stored: Stored) -> None:
    from matplotlib.figure import Figure

    place = {name: row for row, name in enumerate(stored.table["item"])}
    panels = {"items, spread over patients": _spread(stored)}
    pairs = [place[name] for pair in report.near[:SUSPECTS] for name in pair[:2]]
    odd = [place[name] for name in (*report.pixels.outliers, *report.pixels.empty)[: 2 * SUSPECTS]]
    panels |= {f"near duplicates, in pairs ({len(report.near)})": pairs, "unusual grey levels, or empty": odd}
    panels = {title: rows for title, rows in panels.items() if rows}
    heights = [-(-len(rows) // COLUMNS) for rows in panels.values()]
    figure = Figure(figsize=(COLUMNS, sum(heights) + 0.4 * len(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        axis.imshow(_mosaic(stored.pixels, rows), cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_axis_off()
    figure.suptitle(f"{report.name}: private, shows patients", fontsize=10)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _spread(stored: Stored) -> list[int]:
    """Return rows of different patients, the middle item of each."""
    groups = stored.table.groupby("subject", sort=False).indices.values()
    middles = [int(rows[len(rows) // 2]) for rows in groups]
    step = max(1, len(middles) // (COLUMNS * ROWS))
    return middles[::step][: COLUMNS * ROWS]


def _mosaic(pixels: Array, rows: list[int]) -> Array:
    images = to_images(pixels[np.array(rows)])[:, 0]
    planes = images if images.ndim == 3 else images[..., images.shape[-1] // 2]
    padded = np.concatenate([planes, -np.ones((-len(planes) % COLUMNS, *planes.shape[1:]), planes.dtype)])
    lines = padded.reshape(-1, COLUMNS, *planes.shape[1:])
    mosaic: Array = np.concatenate([np.concatenate(list(line), axis=1) for line in lines])
    return mosaic
