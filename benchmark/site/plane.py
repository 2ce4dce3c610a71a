"""Quality against exposure: each model with its intervals, as SVG whose points are links."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from benchmark.core.percent import percent
from benchmark.pages import svg
from benchmark.records import escaping
from benchmark.records.columns import number
from benchmark.records.record import ScoreEntry
from benchmark.site.entry import FRECHET, Entry

WIDTH, HEIGHT = 760, 430
LABELLED = 14
"""With more points there is no room for names: they appear on hover and focus, as any name without a free place."""
LETTER, LINE = 9.0, 18.0
"""Width of a letter and height of a line, as on a phone, where both are larger than on a screen."""
WHISKERS = 150
"""With more points the intervals would cover all of them."""
LINES = "Lines are 95 % intervals."
MARKS = {"hold": "cross", "none": "circle", "unsure": "square"}
"""One shape for each answer: no colour carries a meaning alone."""


@dataclass(frozen=True)
class Point:
    """One row that has both numbers."""

    entry: Entry
    quality: ScoreEntry
    share: ScoreEntry


def points_of(entries: Sequence[Entry]) -> list[Point]:
    """Return the rows that have a Frechet distance and an exposed share."""
    return [
        Point(one, one.quality, one.share)
        for one in entries
        if one.quality is not None and one.share is not None and None not in (one.quality.value, one.share.value)
    ]


def plane(entries: Sequence[Entry], name: str, *, root: str, detectable: float | None = None) -> Markup | None:
    """Return the figure, or nothing where no row has both numbers.

    Args:
        entries: rows of one board, controls among them.
        name: of the figure in its page, for ids.
        root: what leads from the page to the folder of the site.
        detectable: the smallest exposed share that this board could have shown.
    """
    points = points_of(entries)
    if not points:
        return None
    frame, whiskers = _frame(points), len(points) <= WHISKERS
    labels = _labels(frame, points)
    parts = [
        _axes(frame),
        _limit(frame, detectable),
        *(_marked(frame, point, root, label, whiskers=whiskers) for point, label in zip(points, labels, strict=True)),
    ]
    title = "Quality against exposure"
    described = (
        f"{len(points)} models. Right: samples less like held-out patients (Frechet distance). Up: a larger share of "
        f"the samples copies training patients. {LINES if whiskers else ''} Each point is a link to its row's page."
    )
    content = svg.tag("title", escape(title), id=f"{name}-title") + svg.tag(
        "desc", escape(described), id=f"{name}-desc"
    )
    # A group, not an image: an image would hide its links from a screen reader.
    return svg.tag(
        "svg", content + Markup("").join(parts), class_="figure plane", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="group",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip


def _frame(points: Sequence[Point]) -> svg.Frame:
    xs = [end for point in points for end in _ends(point.quality) if end > 0] or [1.0]
    top = max(end for point in points for end in _ends(point.share))
    low, high = min(xs), max(xs)
    # Distances of models that learnt and of those that did not differ by factors: only then a logarithmic axis.
    log = high / low > 8
    around = (low / 1.15, high * 1.15) if log else (low - 0.08 * (high - low or 1), high + 0.08 * (high - low or 1))
    return svg.Frame(62, 34, WIDTH - 90, HEIGHT - 90, around, (0.0, max(0.02, 1.08 * top)), log_x=log)


def _ends(score: ScoreEntry) -> list[float]:
    return [end for end in (score.low, score.value, score.high) if end is not None]


def _axes(frame: svg.Frame) -> Markup:
    ticks = _log_ticks(*frame.x) if frame.log_x else svg.ticks(*frame.x)
    return svg.axes(
        frame, ticks, svg.ticks(*frame.y), x_text=lambda value: f"{value:g}",
        y_text=lambda value: percent(value, 0 if frame.y[1] > 0.08 else 1),
        x_label="Frechet distance to held-out patients (left: better images)",
        y_label="Exposed share of the samples (down: fewer copies)",
    )  # fmt: skip


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [value for value in steps if low <= value <= high]


def _limit(frame: svg.Frame, detectable: float | None) -> Markup:
    """A dashed line: what is below it, this cohort would not have shown."""
    if detectable is None or detectable > frame.y[1]:
        return Markup("")
    y, right = frame.py(detectable), frame.left + frame.width
    label = f"below {percent(detectable)} nothing can be shown"
    line = svg.line((frame.left, y), (right, y), class_="threshold threshold-1")
    return line + svg.text(frame.left + 6, y - 5, label, class_="halo small")


@dataclass(frozen=True)
class Label:
    """The name next to a point."""

    x: float
    y: float
    text: str
    left: bool
    """Whether it ends at x, and does not begin there."""
    free: bool
    """Whether it covers no other name and no point: else it is shown on demand."""

    def covers(self, left: float, right: float, top: float, bottom: float) -> bool:
        """Return whether the name covers any of a rectangle."""
        width = LETTER * len(self.text)
        start = self.x - width if self.left else self.x
        return start < right and left < start + width and self.y - LINE < bottom and top < self.y

    def meets(self, other: Label) -> bool:
        """Return whether two names cover each other."""
        width = LETTER * len(other.text)
        start = other.x - width if other.left else other.x
        return self.covers(start, start + width, other.y - LINE, other.y)


def _labels(frame: svg.Frame, points: Sequence[Point]) -> list[Label]:
    """Place the name of each point above or below it, on either side, where it covers no other; else on demand."""
    marks = [_covered(frame, point) for point in points]
    labels: list[Label] = []
    for point in points:
        x, y = frame.px(point.quality.value or 0.0), frame.py(point.share.value or 0.0)
        name = escaping.shown(point.entry.model)
        text = name if len(name) <= 24 else f"{name[:23]}…"
        sides = (True, False) if x > frame.left + 0.75 * frame.width else (False, True)
        places = [
            Label(x + (-11 if left else 11), y + down, text, left, True) for down in (-9, 24, -27) for left in sides
        ]
        free = (one for one in places if len(points) <= LABELLED and _is_free(one, frame, marks, labels))
        labels.append(next(free, replace(places[0], free=False)))
    return labels


def _covered(frame: svg.Frame, point: Point) -> tuple[float, float, float, float]:
    """Return the rectangle of a point's mark and vertical interval: left, right, top, bottom."""
    x, heights = frame.px(point.quality.value or 0.0), [frame.py(end) for end in _ends(point.share)]
    return x - 7, x + 7, min(heights) - 7, max(heights) + 7


def _is_free(
    label: Label, frame: svg.Frame, marks: Sequence[tuple[float, float, float, float]], labels: Sequence[Label]
) -> bool:
    width = LETTER * len(label.text)
    start = label.x - width if label.left else label.x
    inside = frame.left <= start and start + width <= WIDTH and LINE < label.y < frame.top + frame.height
    covered = any(label.covers(*mark) for mark in marks)
    return inside and not covered and not any(label.meets(other) for other in labels if other.free)


def _marked(frame: svg.Frame, point: Point, root: str, label: Label, *, whiskers: bool) -> Markup:
    assert point.quality.value is not None
    assert point.share.value is not None
    x, y = frame.px(point.quality.value), frame.py(point.share.value)
    look = "control" if point.entry.is_control else point.entry.answer.look
    parts = []
    if whiskers:
        parts = [_whisker(frame, point.quality, y, across=True), _whisker(frame, point.share, x, across=False)]
    parts += [_mark(x, y, MARKS[point.entry.answer.look]), svg.tag("circle", cx=x, cy=y, r=14, class_="target")]
    halo = "halo" if label.free else "halo on-demand"
    parts.append(svg.text(label.x, label.y, label.text, text_anchor="end" if label.left else "start", class_=halo))
    title = svg.tag("title", escaping.html(_described(point)))
    return svg.tag(
        "a", title + Markup("").join(parts), href=f"{root}rows/{point.entry.id}.html", class_=f"point {look}"
    )


def _whisker(frame: svg.Frame, score: ScoreEntry, other: float, *, across: bool) -> Markup:
    if score.low is None or score.high is None:
        return Markup("")
    if across:
        return svg.line((frame.px(score.low), other), (frame.px(score.high), other), class_="whisker")
    return svg.line((other, frame.py(score.low)), (other, frame.py(score.high)), class_="whisker")


def _mark(x: float, y: float, shape: str) -> Markup:
    if shape == "cross":
        return svg.tag("path", d=f"M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12", class_="mark open")
    if shape == "square":
        return svg.tag("rect", x=x - 5, y=y - 5, width=10, height=10, class_="mark")
    return svg.tag("circle", cx=x, cy=y, r=5.5, class_="mark")


def _described(point: Point) -> str:
    share, quality = point.share, point.quality
    assert share.value is not None
    assert quality.value is not None
    ends = (
        f" ({percent(share.low)} to {percent(share.high)})" if share.low is not None and share.high is not None else ""
    )
    return (
        f"{point.entry.title}: {point.entry.answer.words}; exposed share {percent(share.value)}{ends}, "
        f"Frechet distance {number(quality.value, FRECHET.digits)}"
    )


def bar(score: ScoreEntry | None, top: float) -> Markup:
    """Return the small bar of a table's cell: the interval as a line, the value as a dot, on an axis from 0 to `top`.

    It repeats the numbers in the cell and is hidden from screen readers.
    """
    if score is None or score.value is None or top <= 0:
        return Markup("")
    ends = (score.low or 0.0, score.value, score.high or score.value)
    low, value, high = (round(96 * min(max(end / top, 0), 1) + 2) for end in ends)
    interval = f'<path d="M{low} 5H{high}"/>' if score.low is not None and score.high is not None else ""
    axis, dot = '<path d="M2 5H98"/>', f'<circle cx="{value}" cy="5" r="3"/>'
    return Markup(  # noqa: S704  # whole numbers alone
        f'<svg class="ci" viewBox="0 0 100 10" aria-hidden="true">{axis}{interval}{dot}</svg>'
    )
