"""Writes the report: `report.html` shows patients; `summary.html` holds no name and no image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.evaluation.report import charts, questions, texts, wording
from benchmark.evaluation.report.encode import data_uri, png
from benchmark.evaluation.report.viewer import Shown, show, view_names
from benchmark.pages import render as pages
from benchmark.pages.render import asset, write_html
from benchmark.records.columns import RECALL

if TYPE_CHECKING:
    from benchmark.core.types import Score
    from benchmark.evaluation.report.data import Detector, ReportImages, ReportInput, Suspect

SHOWN = {2: 60, 3: 24}
"""Suspects with images, by dimensions; all others are in the table. Aligning the nearest held-out image of each takes
0.1 s of one core for X-rays of 224 pixels, and 0.3 s for volumes of 35 x 50 x 35."""
IMAGE_BYTES = 11_000_000
"""Size of all images of a page together, before base64 adds a third: with a table of 10,000 rows the page stays under
20 MB."""
MOST_BYTES = 2_000_000
"""Size of the images of one suspect, however few suspects there are."""
TABLE_ROWS = 500
"""Rows per table: a longer list is cut into tables that a reader opens."""
REPORT, SUMMARY = "report.html", "summary.html"

Advance = Callable[[], None]


@dataclass(frozen=True)
class Row:
    """A suspect with its rank and, for the first ones, its images."""

    rank: int
    suspect: Suspect
    shown: Shown | None


def shown_suspects(report: ReportInput) -> int:
    """Return how many suspects are shown with images, which is what takes the time of a report."""
    return min(len(report.suspects), SHOWN[report.dimensions])


def write_report(report: ReportInput, images: ReportImages, folder: Path, *, advance: Advance = lambda: None) -> Path:
    """Write report.html and summary.html to a folder, and return the path of the first.

    `advance` is called after each suspect that is shown. The folder is private: report.html shows patients.
    """
    drawn = _drawn(report, images, advance)
    rows = [
        Row(place + 1, suspect, drawn[place] if place < len(drawn) else None)
        for place, suspect in enumerate(report.suspects)
    ]
    path = folder / REPORT
    write_html(path, _report_html(report, rows, images))
    path.chmod(0o600)  # it shows patients, and the folder may be somebody else's
    write_summary(report, folder)
    return path


def _drawn(report: ReportInput, images: ReportImages, advance: Advance) -> list[Shown]:
    """Return the images of the first suspects, computed side by side: alignment and WebP leave Python's lock."""
    shown = shown_suspects(report)
    limit = min(MOST_BYTES, IMAGE_BYTES // max(1, shown))
    drawn = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(lambda suspect: show(suspect, images, limit), report.suspects[:shown]):
            drawn.append(one)
            advance()
    return drawn


def write_summary(report: ReportInput, folder: Path) -> Path:
    """Write summary.html, numbers only, without a name or an image, and return its path."""
    path = folder / SUMMARY
    write_html(path, _summary_html(report))
    return path


def _report_html(report: ReportInput, rows: Sequence[Row], images: ReportImages) -> str:
    tables = [rows[start : start + TABLE_ROWS] for start in range(0, len(rows), TABLE_ROWS)]
    examples = {name: data_uri(png(image)) for name, image in images.planted.items()}
    return _render(
        "report.html", report, rows=rows, tables=tables, examples=examples, cards=[row for row in rows if row.shown],
        views=view_names(images),
    )  # fmt: skip


def _summary_html(report: ReportInput) -> str:
    return _render(
        "summary.html", report, opinion=questions.opinion(report), assessment=questions.impact_assessment(report)
    )


def _render(name: str, report: ReportInput, **more: Any) -> str:
    samples = report.group("synthetic")
    return render(
        name, look=wording.look(report), date=report.date, version=report.version,
        script=asset("benchmark.evaluation.report", "report.js"),
        report=report, verdict=report.verdict, samples=samples.images if samples else 0, **more,
    )  # fmt: skip


def render(name: str, *, look: str, date: str, version: str, script: str = "", **more: Any) -> str:
    """Return a page of the templates, in the frame that all pages share: one file, which may request nothing.

    Args:
        name: of the template.
        look: `hold`, `unsure` or `clear`: how the answer is drawn.
        date: YYYY-MM-DD.
        version: of the program.
        script: what the page may run.
        more: what the template itself uses.
    """
    tools = {"texts": texts, "wording": wording, "charts": charts, "recall": _recall}
    template = pages.environment("benchmark.evaluation.report", tools).get_template(name)
    style = [("benchmark.evaluation.report", "report.css")]
    return template.render(look=look, date=date, version=version, **pages.head(style, script), **more)


def _recall(detector: Detector, name: str, *, headline: bool) -> Score | None:
    return detector.scores.get((texts.RECALL_HEADLINE if headline else RECALL) + name)
