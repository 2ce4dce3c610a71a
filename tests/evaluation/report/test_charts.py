"""The figures are drawn to scale, and say in words what they show."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from benchmark.core.types import Score
from benchmark.evaluation.report.charts import (
    BAR,
    drawn_histograms,
    growth_figure,
    histogram_rows,
    recall_bar,
    similarity_figure,
    threshold_figure,
)
from benchmark.evaluation.report.data import Detector, Histogram
from benchmark.pages import svg

from .conftest import COPY, Made, suspect


@pytest.fixture
def one(made: Made) -> Detector:
    return made().detectors[0]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def paths(figure: str, look: str) -> list[list[tuple[float, float]]]:
    """The points of all lines of one class."""
    drawn = re.findall(rf'<path d="([^"]*)" class="{look}"', figure)
    return [list(zip(numbers(steps)[::2], numbers(steps)[1::2], strict=True)) for steps in drawn]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.853, 0.951, [0.86, 0.88, 0.9, 0.92, 0.94]),
        (0, 7, [0, 2, 4, 6]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == expected


def test_a_frame_maps_its_ends_and_its_middle() -> None:
    frame = svg.Frame(10, 20, 100, 50, (0, 4), (1, 3))
    assert [frame.px(value) for value in (0, 2, 4, 9)] == [10, 60, 110, 110]
    assert [frame.py(value) for value in (1, 2, 3, -5)] == [70, 45, 20, 70]
    logarithmic = svg.Frame(0, 0, 100, 50, (1, 100), (0, 1), log_x=True)
    assert logarithmic.px(10) == pytest.approx(50)


def test_text_and_attributes_are_escaped() -> None:
    drawn = svg.text(1, 2, "<b>&", class_='"x')
    assert drawn == '<text x="1" y="2" class="&#34;x">&lt;b&gt;&amp;</text>'


def test_histograms_share_a_logarithmic_axis_of_shares(one: Detector) -> None:
    figure = str(similarity_figure(one, (), "f"))
    shares = [[count / sum(kept.counts) for count in kept.counts if count] for kept in one.histograms]
    low = min(1 / sum(kept.counts) for kept in one.histograms) / 1.6
    high = max(max(values) for values in shares) * 1.3
    for place, values in enumerate(shares):
        (points,) = paths(figure, f"series series-{place}")
        heights = [points[0][1] - points[1 + 2 * number][1] for number in range(len(values))]
        expected = [math.log(value / low) / math.log(high / low) * (330 - 158) for value in values]
        assert heights == pytest.approx(expected, abs=0.1)
    assert ">10 %</text>" in figure


@pytest.mark.parametrize(("span", "joined"), [((990, 1000), 1), ((900, 1000), 2), ((500, 1000), 10), ((0, 1000), 25)])
def test_bins_are_as_fine_as_the_figure_can_show(one: Detector, span: tuple[int, int], joined: int) -> None:
    counts = np.zeros(1000, int)
    counts[span[0] : span[1]] = 3
    counts[span[1] - 1] = 7
    fine = replace(one, histograms=(Histogram(name="test-to-train", low=-1, high=1, counts=tuple(counts)),))
    (drawn,) = drawn_histograms(fine)
    assert len(drawn.counts) == 1000 / joined
    assert sum(drawn.counts) == counts.sum()
    assert (drawn.low, drawn.high) == (-1, pytest.approx(1))
    assert [counts for _, counts in histogram_rows(fine)][-1] == (7 + 3 * (joined - 1),)


def test_thresholds_and_suspects_are_where_their_similarity_is(one: Detector) -> None:
    suspects = [suspect(0), suspect(1), suspect(2, detector=COPY)]
    figure = str(similarity_figure(one, suspects, "f"))
    marks = paths(figure, "suspect-mark")
    assert len(marks) == 3  # two suspects of this detector, and the key
    lines = [
        float(x)
        for x in re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="[\d.]+" y2="[\d.]+" class="threshold', figure)
    ]
    values = [0.912, 0.873, suspects[0].similarity, suspects[1].similarity]
    places = [*lines, marks[0][0][0], marks[1][0][0]]
    scale = [
        (place - places[1]) / (value - 0.873) for place, value in zip(places, values, strict=True) if value != 0.873
    ]
    assert scale == pytest.approx([scale[0]] * 3, rel=0.01)
    assert "threshold of the verdict at 0.912; tau at 0.873; 2 suspects of this detector, from 0.989 to 0.990" in figure


def test_figures_have_titles_and_descriptions(one: Detector) -> None:
    for drawn in (similarity_figure(one, (), "f"), threshold_figure(one, "f"), growth_figure(one, 40, "f")):
        figure = str(drawn)
        assert re.search(r'role="img" aria-labelledby="f-title f-desc"><title id="f-title">\w', figure)
        assert re.search(r'<desc id="f-desc">\w', figure)
        assert " style=" not in figure


def test_without_numbers_there_is_no_figure(one: Detector) -> None:
    empty = replace(one, histograms=(Histogram(name="test-to-train", low=0, high=1, counts=(0, 0)),), curve=())
    assert similarity_figure(empty, (), "f") is None
    assert threshold_figure(empty, "f") is None
    refused = {"exposed.patients": Score(value=None, reason="refused: x")}
    assert growth_figure(replace(one, scores=refused), 40, "f") is None


def test_the_band_over_thresholds_holds_the_line(one: Detector) -> None:
    figure = str(threshold_figure(one, "f"))
    (line,), (band,) = paths(figure, "series series-0"), paths(figure, "band")
    upper, lower = band[:3], band[:2:-1]
    assert all(high[1] < point[1] < low[1] for high, point, low in zip(upper, line, lower, strict=True))
    assert "Above 0.950: 2 (1 to 4). Above 0.850: 5 (1 to 7)." in figure


def test_growth_names_every_size_with_its_interval(one: Detector) -> None:
    figure = str(growth_figure(one, 40, "f"))
    assert (
        "40 synthetic images: 3 (2 to 6). 400 synthetic images: 31 (12 to 57). 4,000 synthetic images: 44 (12 to 60)."
        in figure
    )
    assert figure.count("<circle") == 3


def test_a_recall_bar_is_as_long_as_its_value() -> None:
    bar = str(recall_bar(Score(value=0.25, low=0.2, high=0.3)))
    assert f'<rect x="0" y="2" width="{BAR * 0.25:g}" height="10" class="bar">' in bar
    assert f'x1="{BAR * 0.2:g}"' in bar
    assert recall_bar(None) == recall_bar(Score(value=None, reason="x")) == ""


def test_rows_of_the_table_are_the_bins_that_hold_anything(one: Detector) -> None:
    rows = histogram_rows(one)
    assert [counts for _, counts in rows] == [(0, 1, 0), (3, 9, 4), (30, 17, 31), (5, 3, 5), (2, 0, 0)]
    assert [low for low, _ in rows] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
