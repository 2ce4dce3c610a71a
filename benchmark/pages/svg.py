"""Elements of figures as SVG text: no library, no style attribute, so that the page can forbid both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The area of a plot in pixels, and what its axes span."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False
    log_y: bool = False

    def px(self, value: float) -> float:
        """Return the horizontal place of a value; values outside the axis end at its border."""
        return self.left + self.width * _share(value, self.x, log=self.log_x)

    def py(self, value: float) -> float:
        """Return the vertical place of a value; values outside the axis end at its border."""
        return self.top + self.height * (1 - _share(value, self.y, log=self.log_y))


def _share(value: float, ends: tuple[float, float], *, log: bool) -> float:
    """Return how far a value is between the ends of an axis, 0 to 1."""
    low, high = ends
    if log:
        value, low, high = (math.log10(max(number, 1e-12)) for number in (value, low, high))
    return min(max((value - low) / (high - low), 0.0), 1.0)


def tag(name: str, content: str = "", /, **attributes: object) -> Markup:
    """Return one element; `class_` is `class`, and underscores are hyphens. Attributes are escaped, content is not."""
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{''.join(pairs)}>{content}</{name}>")  # noqa: S704  # every part was escaped


def _short(value: object) -> str:
    """Return a number with a tenth of a pixel, which nobody can see, and anything else as text."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: str, /, **attributes: object) -> Markup:
    """Return a label."""
    return tag("text", escape(words), x=x, y=y, **attributes)


def line(start: Point, end: Point, **attributes: object) -> Markup:
    """Return a straight line."""
    return tag("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **attributes)


def path(points: Sequence[Point], *, close: bool = False, **attributes: object) -> Markup:
    """Return a line through points, or the area within them."""
    steps = " ".join(f"{'M' if number == 0 else 'L'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(points))
    return tag("path", d=steps + ("Z" if close else ""), **attributes)


def figure(width: int, height: int, title: str, description: str, *parts: str, name: str) -> Markup:
    """Return a whole figure with its title and description for screen readers."""
    content = (
        tag("title", escape(title), id=f"{name}-title")
        + tag("desc", escape(description), id=f"{name}-desc")
        + Markup("").join(Markup(part) for part in parts)  # noqa: S704  # parts were made by `tag`
    )
    return tag(
        "svg", content, class_="figure", viewBox=f"0 0 {width} {height}", role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip


def axes(
    frame: Frame,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
) -> Markup:
    """Return both axes with ticks, grid lines and labels."""
    bottom, right = frame.top + frame.height, frame.left + frame.width
    parts = [line((frame.left, bottom), (right, bottom), class_="axis")]
    for value in x_ticks:
        place = frame.px(value)
        parts += [
            line((place, bottom), (place, bottom + 4), class_="axis"),
            text(place, bottom + 17, x_text(value), text_anchor="middle"),
        ]
    for value in y_ticks:
        place = frame.py(value)
        parts += [
            line((frame.left, place), (right, place), class_="grid"),
            text(frame.left - 6, place + 4, y_text(value), text_anchor="end"),
        ]
    parts += [
        text(frame.left + frame.width / 2, bottom + 36, x_label, text_anchor="middle"),
        text(frame.left, frame.top - 10, y_label),
    ]
    return Markup("").join(parts)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two values: steps of 1, 2 or 5 times a power of ten, at most `most` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
