"""The figures of a sweep: each score along each axis, and quality against exposure. They hold numbers only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.files import atomic_write, file_name
from benchmark.core.options import as_text
from benchmark.runs.sweeps.axis_trends import model_of
from benchmark.runs.sweeps.readings import (
    MEASURE,
    SEED,
    Measure,
    Reading,
    axes_of,
    detectors_in,
    is_refused,
    levels_of,
    position,
)
from benchmark.runs.sweeps.tables import groups_of, mean_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmark.records.record import ScoreEntry
    from benchmark.runs.sweeps.cells import Value

PANELS = ("exposed_patients", "exposed_share", "memorised_share", "quality")
COLOURS = ("#0b62a4", "#b8560a", "#0a7a55", "#7a3b9a", "#8a6d00", "#b3266e", "#3f4a56", "#2a8aa8")
MARKS = "osD^vP<>"
FAILED, REFUSED = "#b3261e", "#57606a"
WIDTH, HEIGHT = 5.2, 3.9
"""Inches: text of 9 points stays readable on a telephone."""
LOG_FROM = 8
"""An axis of positive numbers is logarithmic where the largest is at least so many times the smallest."""
LEGEND = 12
"""More curves than this are told apart by the table, not by a legend."""
ENDINGS = (".svg", ".pdf")


@dataclass(frozen=True)
class Curve:
    """A figure that was written."""

    axis: str
    """Empty for the plane of quality against exposure."""
    detector: str
    measure: str
    path: Path
    """The SVG file; a PDF file has the same name."""
    described: str
    """What it shows, for readers who do not see it."""


@dataclass(frozen=True)
class Line:
    """The cells of one model and one setting of all other axes, along an axis."""

    name: str
    groups: Mapping[Value, list[Reading]]
    """The cells at each level, one per seed."""


def draw_curves(
    readings: Sequence[Reading], folder: Path, orders: Mapping[str, Sequence[Value]] | None = None
) -> list[Curve]:
    """Write the figures to a folder and return them, by axis and detector.

    Args:
        readings: all cells, with all axes.
        folder: gets NAME.svg and NAME.pdf.
        orders: the order of axes that are no numbers.
    """
    detectors = detectors_in([one for one in readings if one.finished])
    # Models are the curves of every other axis, so that an axis of them would show the same points once more.
    varied = [axis for axis in axes_of(readings) if axis != SEED and len({one.axes[axis] for one in readings}) > 1]
    shown = [axis for axis in varied if axis != "model"] or varied
    curves = []
    for axis in axes_of(readings):
        levels = levels_of(axis, readings, (orders or {}).get(axis))
        if axis not in shown or len(levels) < 2:
            continue
        ordered = axis in (orders or {}) or all(position(axis, value, readings) is not None for value in levels)
        for detector in detectors:
            panels = [MEASURE[name] for name in PANELS if MEASURE[name].by_detector or detector == detectors[0]]
            curves += [_axis_curve(readings, axis, levels, one, detector, folder, ordered=ordered) for one in panels]
    return curves + [_plane(readings, detector, folder) for detector in detectors]


def _axis_curve(
    readings: Sequence[Reading],
    axis: str,
    levels: list[Value],
    measure: Measure,
    detector: str,
    folder: Path,
    *,
    ordered: bool,
) -> Curve:
    figure, axes = _figure()
    places = _places(axis, levels, readings)
    lines = _lines(readings, axis)
    for number, line in enumerate(lines):
        moved = _shifted(places, number, len(lines), log=_is_log(places))
        _draw_line(axes, line, moved, measure, detector, number, ordered=ordered)
    _scale(axes, axis, levels, places)
    _finish(axes, measure, detector, len(lines))
    path = folder / file_name(f"{axis}-{measure.name}-{detector}")
    described = f"{measure.heading} along {axis}, by {detector}: {', '.join(line.name for line in lines[:LEGEND])}"
    return Curve(axis, detector, measure.name, _save(figure, path), described)


def _lines(readings: Sequence[Reading], axis: str) -> list[Line]:
    """Return the curves of a figure: one per model and setting of the other axes."""
    groups: dict[tuple[tuple[str, Value], ...], dict[Value, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    for one in readings:
        rest = tuple((name, value) for name, value in one.without(axis) if name != SEED)
        groups[rest][one.axes[axis]].append(one)
    varied = {name for rest in groups for name, value in rest if len({dict(other).get(name) for other in groups}) > 1}
    return [Line(_line_name(rest, varied, by_level), by_level) for rest, by_level in groups.items()]


def _line_name(rest: tuple[tuple[str, Value], ...], varied: set[str], by_level: Mapping[Value, list[Reading]]) -> str:
    settings = [f"{name}={as_text(value)}" for name, value in rest if name in varied - {"model"} and value != ""]
    first = next(iter(by_level.values()))[0]
    model = [] if len(by_level) > 1 and "model" not in dict(rest) and "model" in first.axes else [model_of(first)]
    return ", ".join([*model, *settings]) or "all"


def _places(axis: str, levels: list[Value], readings: Sequence[Reading]) -> dict[Value, float]:
    """Return where each level is: numbers at their size, anything else side by side."""
    by_size = {value: position(axis, value, readings) for value in levels}
    known = {value: place for value, place in by_size.items() if place is not None}
    return known if len(known) == len(levels) else {value: float(number) for number, value in enumerate(levels)}


def _is_log(places: Mapping[Value, float]) -> bool:
    return min(places.values()) > 0 and max(places.values()) >= LOG_FROM * min(places.values())


def _shifted(places: Mapping[Value, float], number: int, lines: int, *, log: bool) -> dict[Value, float]:
    """Move the points of each line a little, so that their intervals stay apart."""
    share = 0.012 * (number - (lines - 1) / 2)
    low, high = min(places.values()), max(places.values())
    if log:
        return {value: place * (high / low) ** share for value, place in places.items()}
    return {value: place + (high - low) * share for value, place in places.items()}


def _draw_line(
    axes: Axes,
    line: Line,
    places: Mapping[Value, float],
    measure: Measure,
    detector: str,
    number: int,
    *,
    ordered: bool,
) -> None:
    colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
    dash = "-" if number < len(COLOURS) else "--"
    points: list[tuple[float, float, ScoreEntry, bool]] = []
    for value, group in sorted(line.groups.items(), key=lambda pair: places[pair[0]]):
        mean = mean_of(group, measure, detector)
        complete = all(one.finished for one in group)
        if mean is not None and mean.value is not None:
            points.append((places[value], mean.value, mean, complete))
        _mark_absent(axes, group, places[value], measure, detector)
        _dots(axes, group, places[value], measure, detector, colour)
    width = 1.4 if ordered else 0.0  # between values without an order there is nothing that a line could mean
    axes.plot([], [], color=colour, marker=mark, label=line.name, markersize=5, linewidth=width, linestyle=dash)
    axes.plot(
        [point[0] for point in points], [point[1] for point in points], color=colour, linewidth=width, linestyle=dash
    )
    for x, _, entry, complete in points:
        _point(axes, x, entry, colour, mark, complete=complete)


def _point(axes: Axes, x: float, entry: ScoreEntry, colour: str, mark: str, *, complete: bool) -> None:
    """Draw a mean with its interval, hollow where seeds are missing."""
    if entry.value is None:
        return
    if entry.low is not None and entry.high is not None:
        axes.plot([x, x], [entry.low, entry.high], color=colour, linewidth=1.2)
    axes.plot([x], [entry.value], mark, color=colour, markersize=5.5, markerfacecolor=colour if complete else "white")


def _dots(axes: Axes, group: Sequence[Reading], x: float, measure: Measure, detector: str, colour: str) -> None:
    """Draw the single seeds, where there are several."""
    entries = [entry for one in group if one.finished and (entry := one.entry(measure, detector)) is not None]
    values = [entry.value for entry in entries if entry.value is not None]
    if len(values) > 1:
        axes.plot([x] * len(values), values, ".", color=colour, alpha=0.35, markersize=4)


def _mark_absent(axes: Axes, group: Sequence[Reading], x: float, measure: Measure, detector: str) -> None:
    """Draw a cross at the bottom for a cell without a record, a ring for one whose score was refused."""
    failed = any(not one.finished for one in group)
    refused = any(one.finished and is_refused(one.entry(measure, detector)) for one in group)
    for shown, mark, colour, height in ((failed, "x", FAILED, 0.035), (refused, "o", REFUSED, 0.09)):
        if shown:
            axes.plot(
                [x], [height], mark, color=colour, transform=axes.get_xaxis_transform(), markersize=7,
                markeredgewidth=2, markerfacecolor="none", clip_on=False, zorder=5,
            )  # fmt: skip


def _scale(axes: Axes, axis: str, levels: list[Value], places: Mapping[Value, float]) -> None:
    if _is_log(places):
        axes.set_xscale("log")
    axes.set_xticks([places[value] for value in levels], [as_text(value) or "none" for value in levels])
    axes.minorticks_off()
    axes.set_xlabel(axis)
    if not _is_log(places):
        axes.margins(x=0.08)


def _finish(axes: Axes, measure: Measure, detector: str, lines: int) -> None:
    by = f", by {detector}" if measure.by_detector else ""
    axes.set_title(f"{measure.heading}{by}", fontsize=10, loc="left")
    low, high = axes.get_ylim()
    # Shares and counts start at 0: a cut axis makes small differences look large. Below it is room for the marks.
    bottom = 0.0 if measure.limits[0] == 0 and measure.name != "quality" else low
    top = max(high, 0.05 if measure.limits[1] == 1 else 1.0)
    axes.set_ylim(bottom - 0.12 * (top - bottom), top)
    _named_marks(axes)
    if lines <= LEGEND:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2, borderaxespad=0)


def _named_marks(axes: Axes) -> None:
    """Name the marks at the bottom, in the legend, where there are any."""
    drawn = {(line.get_marker(), line.get_color()) for line in axes.lines}
    for mark, colour, name in (("x", FAILED, "no number: failed, declined, not run"), ("o", REFUSED, "refused")):
        if (mark, colour) in drawn:
            axes.plot([], [], mark, color=colour, markerfacecolor="none", markeredgewidth=2, label=name)


def _plane(readings: Sequence[Reading], detector: str, folder: Path) -> Curve:
    """Draw one point per setting: quality to the right is worse, exposure upwards is worse."""
    figure, axes = _figure()
    models = list(dict.fromkeys(map(model_of, readings)))
    groups = groups_of(readings)
    varied = [
        axis for axis in axes_of(readings)
        if axis not in (SEED, "model") and len({one.axes[axis] for one in readings}) > 1
    ]  # fmt: skip
    drawn = dict.fromkeys(models, 0)
    for group in groups:
        pair = [mean_of(group, MEASURE[name], detector) for name in ("quality", "exposed_share")]
        number = models.index(model_of(group[0]))
        label = ", ".join(as_text(group[0].axes[axis]) for axis in varied if group[0].axes[axis] != "")
        complete = all(one.finished for one in group)
        drawn[models[number]] += _plane_point(axes, pair, number, label if len(groups) <= 30 else "", complete=complete)
    for number, model in enumerate(models):
        missing = sum(model_of(group[0]) == model for group in groups) - drawn[model]
        note = f" ({missing} without a point)" if missing else ""
        axes.plot([], [], MARKS[number % 8], color=COLOURS[number % 8], label=f"{model}{note}")
    axes.set_xlabel("Frechet distance to held-out patients (lower is nearer)")
    _finish(axes, MEASURE["exposed_share"], detector, len(models))
    axes.set_title(f"exposed share against quality, by {detector}", fontsize=10, loc="left")
    path = _save(figure, folder / file_name(f"plane-{detector}"))
    described = f"exposed share, by {detector}, against the Frechet distance: one point per setting"
    return Curve("", detector, "plane", path, described)


def _plane_point(axes: Axes, pair: Sequence[ScoreEntry | None], number: int, label: str, *, complete: bool) -> bool:
    """Draw a setting with both intervals, and return whether both of its scores have a value."""
    quality, share = pair
    if quality is None or quality.value is None or share is None or share.value is None:
        return False
    colour = COLOURS[number % len(COLOURS)]
    if quality.low is not None and quality.high is not None:
        axes.plot([quality.low, quality.high], [share.value] * 2, color=colour, linewidth=0.8, alpha=0.6)
    _point(axes, quality.value, share, colour, MARKS[number % len(MARKS)], complete=complete)
    text = axes.annotate(label, (quality.value, share.value), (3, 3), textcoords="offset points", fontsize=7)
    text.set(color="#444", rotation=35, rotation_mode="anchor")  # many points lie next to each other at 0
    return True


def _figure() -> tuple[Figure, Axes]:
    """Return an empty figure; `Figure` without pyplot needs no display, and keeps nothing after it is written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, color="#d0d7de")
    axes.tick_params(labelsize=9)
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    """Write SVG and PDF without a date, so that equal numbers give equal files, and return the SVG's path."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "memobench", "svg.fonttype": "path"}):
        for ending in ENDINGS:
            dates = {"Date": None} if ending == ".svg" else {"CreationDate": None}
            with atomic_write(path.with_name(path.name + ending)) as temporary:
                figure.savefig(temporary, format=ending[1:], metadata=dates)
    return path.with_name(path.name + ".svg")
