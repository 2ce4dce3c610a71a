"""The figures of the report: similarities, recall of planted copies, curves over thresholds and release size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from markupsafe import Markup

from benchmark.evaluation.report.texts import HISTOGRAMS
from benchmark.evaluation.report.wording import count_text, detector_name
from benchmark.metrics.accumulation import FACTORS
from benchmark.pages import svg

if TYPE_CHECKING:
    from benchmark.core.types import Score
    from benchmark.evaluation.report.data import CurvePoint, Detector, Histogram, Suspect

WIDTH, HEIGHT = 560, 330
MOST_BINS = 80
"""Bins of a figure: more would be narrower than its line."""
JOINED = (1, 2, 5, 10, 25, 50, 125, 250, 500, 1000)
"""How many bins may become one."""
CURVE_HEIGHT = 280
THRESHOLDS = {"exposed.threshold": "threshold of the verdict", "copies.tau": "tau"}
"""Scores that are similarities, and their names in a figure."""
BAR = 110
"""Pixels of a recall of 100 %."""


def similarity_figure(detector: Detector, suspects: Sequence[Suspect], name: str) -> Markup | None:
    """Draw how similar images are to their nearest ones, with both thresholds and each suspect; nothing without counts.

    The three curves are those of Akbar et al. 2025 (2305.07644). Shares are on a logarithmic axis: the few images at
    the right end are what matters, and a linear axis would hide them below the line.
    """
    histograms = drawn_histograms(detector)
    if not histograms:
        return None
    thresholds = {
        label: score.value
        for given, label in THRESHOLDS.items()
        if (score := detector.scores.get(given)) is not None and score.value is not None
    }
    own = [suspect.similarity for suspect in suspects if suspect.detector == detector.name]
    frame = _similarity_frame(histograms, [*thresholds.values(), *own])
    curves = [*_outlines(frame, histograms), *_lines(frame, thresholds), *_marks(frame, own)]
    described = "; ".join(
        [
            *(f"{HISTOGRAMS.get(one.name, one.name)}: mostly {_mode(one)}" for one in histograms),
            *(f"{label} at {value:.3f}" for label, value in thresholds.items()),
            f"{len(own)} suspects of this detector" + (f", from {min(own):.3f} to {max(own):.3f}" if own else ""),
        ]
    )
    title = f"Similarity to the nearest image: {detector_name(detector.name)}"
    return svg.figure(WIDTH, HEIGHT, title, described, _similarity_axes(frame), *curves, name=name)


def drawn_histograms(detector: Detector) -> list[Histogram]:
    """Return the histograms that hold anything, their bins joined to at most MOST_BINS between the ends of all."""
    histograms = [one for one in detector.histograms if sum(one.counts)]
    if not histograms:
        return []
    low, high = min(_ends(one)[0] for one in histograms), max(_ends(one)[1] for one in histograms)
    width = (histograms[0].high - histograms[0].low) / len(histograms[0].counts)
    needed = (high - low) / width / MOST_BINS
    return [_joined(one, next(number for number in JOINED if number >= needed)) for one in histograms]


def _joined(histogram: Histogram, number: int) -> Histogram:
    """Return a histogram with so many neighbouring bins in one."""
    counts, width = histogram.counts, (histogram.high - histogram.low) / len(histogram.counts)
    sums = tuple(sum(counts[start : start + number]) for start in range(0, len(counts), number))
    return replace(histogram, counts=sums, high=histogram.low + len(sums) * number * width)


def _similarity_frame(histograms: Sequence[Histogram], marks: Sequence[float]) -> svg.Frame:
    """Return a frame from the lowest bin that holds anything to the highest, and to every mark."""
    edges = [edge for one in histograms for edge in _ends(one)] + list(marks)
    tallest = max(count / sum(one.counts) for one in histograms for count in one.counts)
    # One image of the largest set is still above the axis.
    least = min(1 / sum(one.counts) for one in histograms)
    y = (least / 1.6, max(tallest, least) * 1.3)
    return svg.Frame(60, 62, WIDTH - 80, HEIGHT - 158, (min(edges), max(edges)), y, log_y=True)


def _ends(histogram: Histogram) -> tuple[float, float]:
    used = [place for place, count in enumerate(histogram.counts) if count]
    width = (histogram.high - histogram.low) / len(histogram.counts)
    return histogram.low + used[0] * width, histogram.low + (used[-1] + 1) * width


def _mode(histogram: Histogram) -> str:
    place = max(range(len(histogram.counts)), key=histogram.counts.__getitem__)
    width = (histogram.high - histogram.low) / len(histogram.counts)
    return f"{histogram.low + place * width:.3f} to {histogram.low + (place + 1) * width:.3f}"


def _similarity_axes(frame: svg.Frame) -> Markup:
    powers = [10.0**power for power in range(-6, 1) if frame.y[0] <= 10.0**power <= frame.y[1]]
    return svg.axes(
        frame, svg.ticks(*frame.x), powers, x_text=lambda value: f"{value:g}",
        y_text=lambda value: f"{100 * value:g} %", y_label="share of the images, logarithmic",
        x_label="similarity to the nearest image",
    )  # fmt: skip


def _outlines(frame: svg.Frame, histograms: Sequence[Histogram]) -> list[Markup]:
    parts = []
    for place, one in enumerate(histograms):
        x, y = _key_place(place)
        look = f"series series-{place}"
        parts.append(svg.path(_steps(frame, one), class_=look))
        parts.append(svg.line((x, y - 4), (x + 28, y - 4), class_=look))
        parts.append(svg.text(x + 35, y, HISTOGRAMS.get(one.name, one.name)))
    return parts


def _key_place(place: int) -> svg.Point:
    """Return where an entry of the key begins: two per row below the figure."""
    return 52.0 + 260 * (place % 2), HEIGHT - 30.0 + 20 * (place // 2)


def _steps(frame: svg.Frame, histogram: Histogram) -> list[svg.Point]:
    """Return the outline of a histogram between its first and last bin that hold anything."""
    total, width = sum(histogram.counts), (histogram.high - histogram.low) / len(histogram.counts)
    low, high = _ends(histogram)
    points = [(frame.px(low), frame.py(0))]
    for place, count in enumerate(histogram.counts):
        left = histogram.low + place * width
        if low - width / 2 < left < high - width / 2:
            points += [(frame.px(edge), frame.py(count / total)) for edge in (left, left + width)]
    return [*points, (frame.px(high), frame.py(0))]


def _lines(frame: svg.Frame, thresholds: dict[str, float]) -> list[Markup]:
    """Draw each threshold, its name above the plot, one line per name."""
    parts = []
    for place, (label, value) in enumerate(thresholds.items()):
        x, y = frame.px(value), 16.0 + 17 * place
        right = x > frame.left + frame.width / 2
        parts.append(svg.line((x, y - 9), (x, frame.top + frame.height), class_=f"threshold threshold-{place}"))
        anchor, gap = ("end", -5.0) if right else ("start", 5.0)
        parts.append(svg.text(x + gap, y, f"{label} {value:.3f}", text_anchor=anchor))
    return parts


def _marks(frame: svg.Frame, similarities: Sequence[float]) -> list[Markup]:
    """Draw a triangle on the axis per suspect."""
    base = frame.top + frame.height
    marks = [
        svg.path([(x, base - 1), (x - 4, base - 9), (x + 4, base - 9)], close=True, class_="suspect-mark")
        for x in map(frame.px, similarities)
    ]
    if marks:
        x, y = _key_place(3)
        key = [(x + 14, y), (x + 10, y - 8), (x + 18, y - 8)]
        marks += [svg.path(key, close=True, class_="suspect-mark"), svg.text(x + 35, y, "suspects")]
    return marks


def recall_bar(score: Score | None) -> Markup:
    """Draw one recall as a bar with its interval; the number stands next to it, so that screen readers skip this."""
    if score is None or score.value is None:
        return Markup("")
    width = BAR * score.value
    parts = [
        svg.tag("rect", x=0, y=2, width=BAR, height=10, class_="bar-back"),
        svg.tag("rect", x=0, y=2, width=width, height=10, class_="bar"),
    ]
    if score.low is not None and score.high is not None:
        parts.append(svg.line((BAR * score.low, 7), (BAR * score.high, 7), class_="bar-interval"))
    return svg.tag(
        "svg", Markup("").join(parts), class_="recall", viewBox=f"0 0 {BAR} 14", width=BAR, height=14,
        aria_hidden="true",
    )  # fmt: skip


def _curve_frame(x: tuple[float, float], top: float, *, log_x: bool = False) -> svg.Frame:
    return svg.Frame(52, 36, WIDTH - 72, CURVE_HEIGHT - 92, x, (0, top * 1.08 or 1), log_x=log_x)


def threshold_figure(detector: Detector, name: str) -> Markup | None:
    """Draw the copied training patients above each threshold, with the interval; nothing for fewer than two points."""
    points = [point for point in detector.curve if point.threshold is not None]
    places = [point.threshold for point in points if point.threshold is not None]
    if len(set(places)) < 2:
        return None
    frame = _curve_frame((min(places), max(places)), max(point.high for point in points))
    area = [(place, point.high) for place, point in zip(places, points, strict=True)]
    area += [(place, point.low) for place, point in reversed(list(zip(places, points, strict=True)))]
    parts = [
        svg.axes(
            frame, svg.ticks(*frame.x), svg.ticks(*frame.y, most=5), x_text=lambda value: f"{value:g}",
            y_text=lambda value: f"{value:g}", y_label="training patients with a copy",
            x_label="copies more similar than this",
        ),
        svg.path([(frame.px(x), frame.py(y)) for x, y in area], close=True, class_="band"),
        svg.path([(frame.px(x), frame.py(point.value)) for x, point in zip(places, points, strict=True)],
                 class_="series series-0"),
    ]  # fmt: skip
    described = f"{_ends_text(points)} The band is the 95 % interval, which holds for all thresholds at once."
    return svg.figure(
        WIDTH, HEIGHT, f"Copies by threshold: {detector_name(detector.name)}", described, *parts, name=name
    )


def _ends_text(points: Sequence[CurvePoint]) -> str:
    ordered = sorted(points, key=lambda point: -(point.threshold or 0))
    return " ".join(
        f"Above {point.threshold:.3f}: {point.value:.0f} ({point.low:.0f} to {point.high:.0f})."
        for point in (ordered[0], ordered[-1])
    )


def growth_points(detector: Detector, samples: int) -> list[tuple[int, Score]]:
    """Return the size of the release and the copied training patients: now, and of larger releases."""
    given = [(samples, detector.scores.get("exposed.patients"))]
    given += [(samples * factor, detector.scores.get(f"growth.times{factor}")) for factor in FACTORS]
    return [(size, score) for size, score in given if score is not None and score.value is not None]


def growth_figure(detector: Detector, samples: int, name: str) -> Markup | None:
    """Draw the copied training patients by release size, with intervals; nothing for fewer than two sizes."""
    points = growth_points(detector, samples)
    if len(points) < 2:
        return None
    top = max(score.high if score.high is not None else score.value or 0 for _, score in points)
    frame = _curve_frame((points[0][0] * 0.7, points[-1][0] * 1.4), top, log_x=True)
    parts = [
        svg.axes(
            frame, [size for size, _ in points], svg.ticks(*frame.y, most=5), x_text=lambda value: f"{value:,.0f}",
            y_text=lambda value: f"{value:g}", y_label="training patients with a copy",
            x_label="synthetic images in the release",
        )
    ]  # fmt: skip
    parts.append(
        svg.path([(frame.px(size), frame.py(score.value or 0)) for size, score in points], class_="series series-0")
    )
    for place, (size, score) in enumerate(points):
        x, y = frame.px(size), frame.py(score.value or 0)
        if score.low is not None and score.high is not None:
            parts.append(svg.line((x, frame.py(score.low)), (x, frame.py(score.high)), class_="whisker"))
        parts.append(svg.tag("circle", cx=x, cy=y, r=4, class_="dot"))
        last = place == len(points) - 1
        # The line never falls: there is room below it on the right, and above it on the left.
        anchor, right, down = ("end", -9, -9) if last else ("start", 7, 14)
        parts.append(svg.text(x + right, y + down, count_text(score), text_anchor=anchor, class_="halo"))
    described = " ".join(f"{size:,} synthetic images: {count_text(score)}." for size, score in points)
    return svg.figure(
        WIDTH, HEIGHT, f"Copies by release size: {detector_name(detector.name)}", described, *parts, name=name
    )


def histogram_rows(detector: Detector) -> list[tuple[float, tuple[int, ...]]]:
    """Return the lower end of each bin of the figure that holds anything, and the counts of all histograms in it."""
    histograms = drawn_histograms(detector)
    if not histograms:
        return []
    first = histograms[0]
    width = (first.high - first.low) / len(first.counts)
    columns = zip(*(one.counts for one in histograms), strict=True)
    return [(first.low + place * width, counts) for place, counts in enumerate(columns) if any(counts)]
