"""Numbers in words: nothing rounds to certainty, and a missing number says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.core.types import Score
from benchmark.evaluation.report import questions, wording
from benchmark.evaluation.report.texts import PLANTED
from benchmark.images.planted_copies import CLAIMED_AS

from .conftest import COPY, PIXELS, Made


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.0, 1, "0.0 %"), (1.0, 1, "100.0 %"), (0.0004, 1, "under 0.1 %"), (0.9999, 1, "over 99.9 %"),
        (0.0005, 1, "0.1 %"), (0.074, 1, "7.4 %"), (0.996, 0, "over 99 %"), (0.004, 0, "under 1 %"), (0.985, 0, "98 %"),
    ],
)  # fmt: skip
def test_percent(value: float, digits: int, expected: str) -> None:
    assert wording.percent(value, digits).replace("\u00a0", " ") == expected


def test_a_missing_number_is_not_scored() -> None:
    none = Score(value=None, reason="refused: this model has seen held-out patients")
    assert wording.share_text(none) == wording.count_text(none) == "not scored"
    assert wording.score_text("exposed.items", none) == "refused"
    assert wording.score_text("exposed.items", Score(value=None, reason="no patients")) == "not scored"


def test_detectors_in_words(made: Made) -> None:
    assert wording.detector_name("pixels:transforms=flips,shifts") == "Comparison of grey values (flips, shifts)"
    assert wording.detector_name("mine:x=1") == "mine"
    sentence = f"{COPY}: 3 nearly identical; {PIXELS}: 2"
    expected = "Trained copy detector: 3 nearly identical; comparison of grey values: 2"
    assert wording.plain(sentence, made().detectors) == expected


def test_a_sentence_has_no_nested_brackets_and_keeps_a_percentage_on_one_line(made: Made) -> None:
    sentence = f"2 look like one patient ({PIXELS}: 16.7 % to 31.7 % of all)"
    expected = "2 look like one patient (comparison of grey values: 16.7\u00a0% to 31.7\u00a0% of all)"
    assert wording.plain(sentence, made().detectors) == expected


def test_a_name_is_broken_between_its_parts_alone_and_escaped() -> None:
    assert str(wording.breakable("a:b=<i>,c")) == "a:<wbr>b=<wbr>&lt;i&gt;,<wbr>c"


def test_every_planted_copy_has_words() -> None:
    assert set(CLAIMED_AS) <= set(PLANTED)


def test_relatives_of_a_score_refer_to_it() -> None:
    assert wording.meaning("growth.times100") == "see growth.times10"
    assert wording.meaning("published.akbar2025.q95_test") == "see published.akbar2025.mean"
    assert wording.meaning("unknown.thing") == ""


def test_the_opinion_gets_every_number_or_the_reason(made: Made) -> None:
    answers = questions.opinion(made())
    lines = [line.replace("\u00a0", " ") for answer in answers for line in answer.numbers]
    for line in (
        "share of images that are copies: 7.1 % (4.3 % to 11.9 %) [Comparison of grey values (flips)]",
        "training patients with a copy: 3 (2 to 6) [Trained copy detector]",
        "nearly identical images: 1 [Trained copy detector]",
        "members against others, AUC (0.5: no difference): 0.617 (0.551 to 0.683) [Trained copy detector]",
        "lower bound on epsilon (0 shows nothing): 1.370 [Comparison of grey values (flips)]",
        "A share of copies of 3.4 % would have been seen with 95 % probability.",
        "1 of 2 kinds of planted copies are mostly found.",
        "80 training images of 60 patients.",
        "Date 2026-11-27; memobench 0.1.0, protocol p2.",
    ):
        assert line in lines
    assert sum(answer.numbers == questions.NOT_MEASURED for answer in answers) == 2


def test_a_refused_number_gives_its_reason_to_the_board(made: Made) -> None:
    lines = [line for answer in questions.opinion(made("cannot tell")) for line in answer.numbers]
    reason = "cannot tell: 60 training patients and 1 held-out patient"
    assert f"share of images that are copies: not scored: {reason} [Trained copy detector]" in lines


def test_the_assessment_counts_what_is_withheld(made: Made) -> None:
    given = made()
    (measures,) = (one for one in questions.impact_assessment(given) if one.source == "Article 35(7)(d)")
    assert measures.numbers[0] == "2 images are on the list to withhold."
    alone = replace(given, detectors=given.detectors[:1])
    (measures,) = (one for one in questions.impact_assessment(alone) if one.source == "Article 35(7)(d)")
    assert measures.numbers[1] == "of them at most by chance: 1"
