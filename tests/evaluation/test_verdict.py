"""The verdict of an audit: copies found by any detector decide, and nothing refused ever reads as an all-clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmark.core.types import Score
from benchmark.evaluation.verdict import judge, with_audit_advice

SEEN = Score(value=0.01)


def scores(
    low: float | None = 0.0, high: float | None = 0.004, verbatim: float = 0.0, recall: float | None = 1.0
) -> dict[str, Score]:
    share = Score(value=low, low=low, high=high) if low is not None else Score(value=None, reason="cannot tell: why")
    return {
        "exposed.items": share,
        "exposed.patients": replace(share),
        "exposed.verbatim": Score(value=verbatim),
        "detector.recall.exact": Score(value=recall),
    }


def verdict(outcomes: dict[str, dict[str, Score]], seen: Score = SEEN, **options: Any) -> tuple[str, int, str]:
    given = {"samples": 200, "suspects": 0, "must_see": 0.01} | options
    answer = judge(outcomes, seen, **given)
    return answer.kind, answer.exit_code, answer.sentence


def test_nothing_found_with_enough_power_is_the_only_way_to_exit_code_0() -> None:
    assert verdict({"pixels": scores(), "copy": scores()}) == (
        "nothing found",
        0,
        "no copies of training images; copies from 1.0 % of the synthetic images on would have been seen",
    )


def test_too_little_power_is_said_and_has_its_own_code() -> None:
    assert verdict({"pixels": scores()}, Score(value=0.035)) == (
        "nothing found",
        12,
        (
            "no copies of training images; copies from 3.5 % of the synthetic images on would have been seen, but 1.0 "
            "% was asked for: give more synthetic images, or more held-out patients"
        ),
    )


def test_small_sets_that_can_show_nothing_are_not_cleared() -> None:
    """Three times what would have been seen is no limit where that is all of the images."""
    assert verdict({"pixels": scores(high=0.2)}, Score(value=1.0)) == (
        "cannot tell",
        11,
        (
            "no copies are certain, but only copies from 100.0 % of the synthetic images on would have been seen, and "
            "up to 20.0 % may be copies: give more synthetic images, or more held-out patients"
        ),
    )
    assert verdict({"pixels": scores(high=0.3)}, Score(value=0.2))[1] == 11
    assert verdict({"pixels": scores(high=0.25)}, Score(value=0.2))[1] == 12
    assert verdict({"pixels": scores(high=0.3)}, Score(value=0.4), must_see=0.5)[1] == 0


def test_a_limit_for_the_upper_end() -> None:
    assert verdict({"pixels": scores(high=0.009), "copy": scores()}, fail_above=0.005) == (
        "nothing found",
        13,
        (
            "no copies of training images; copies from 1.0 % of the synthetic images on would have been seen, but up "
            "to 0.9 % may be copies (0.5 % at most)"
        ),
    )
    assert verdict({"pixels": scores(high=0.009)}, fail_above=0.009)[1] == 0


def test_a_wide_interval_is_no_all_clear() -> None:
    """A model that is near to nobody gave 0 to 0.98 on volumes: nothing was certain, and nothing was excluded."""
    assert verdict({"pixels": scores(high=0.98), "copy": scores()}) == (
        "cannot tell",
        11,
        "no copies are certain, but up to 98.0 % of the synthetic images may be copies",
    )


def test_an_interval_that_ends_above_the_share_asked_for_has_its_own_code() -> None:
    assert verdict({"pixels": scores(high=0.016)}) == (
        "nothing found",
        12,
        (
            "no copies of training images; copies from 1.0 % of the synthetic images on would have been seen, but up "
            "to 1.6 % may be copies, and 1.0 % was asked for"
        ),
    )
    assert verdict({"pixels": scores(high=0.031)})[1] == 11


def test_copies_that_one_detector_finds_decide() -> None:
    found = scores(low=0.05, high=0.12)
    sentence = "20 of 200 synthetic images look like one particular training patient (copy: 5.0 % to 12.0 % of all)"
    for outcomes in ({"pixels": scores(), "copy": found}, {"pixels": scores(low=None), "copy": found}):
        assert verdict(outcomes, suspects=20) == ("hold", 10, sentence)


@pytest.mark.parametrize(
    ("striking", "told"),
    [
        (20, "20 of 200 synthetic images are near-certain copies ("),
        (17, "17 of 200 synthetic images are near-certain copies, and 3 more may be ("),
        (1, "1 of 200 synthetic images is a near-certain copy, and 19 more may be ("),
        (0, "20 of 200 synthetic images look like one particular training patient ("),
    ],
)
def test_certain_copies_are_counted_apart(striking: int, told: str) -> None:
    found = verdict({"copy": scores(low=0.05, high=0.12)}, suspects=20, striking=striking)
    assert found[:2] == ("hold", 10)
    assert found[2].startswith(told)


def test_identical_copies_decide_even_where_the_headline_is_refused() -> None:
    assert verdict({"pixels": scores(low=None, verbatim=3)}, suspects=3) == (
        "hold",
        10,
        (
            "3 of 200 synthetic images look like one particular training patient (pixels: 3 nearly identical); how "
            "many more there are, nobody can tell: why"
        ),
    )


def test_parts_that_are_nearly_identical_are_said_to_be_parts() -> None:
    assert verdict({"pixels": scores(), "local": scores(verbatim=3)}, suspects=3)[2] == (
        "3 of 200 synthetic images look like one particular training patient (local: 3 nearly identical in a part)"
    )


def test_a_refused_detector_is_no_all_clear() -> None:
    assert verdict({"pixels": scores(), "copy": scores(low=None)}) == ("cannot tell", 11, "copy: why")


def test_advice_is_that_of_an_audit() -> None:
    seen = "refused: this model has seen held-out patients, so they are no control; look for leaks with `x`, or --y"
    refused = with_audit_advice({**scores(), "exposed.items": Score(value=None, reason=seen)})
    advice = "they are no control; give held-out patients that it has not seen"
    assert refused["exposed.items"].reason == f"refused: this model has seen held-out patients, so {advice}"
    assert verdict({"pixels": refused})[2] == (
        "pixels: this model has seen held-out patients, so they are no control; give held-out patients that it has not "
        "seen"
    )
    assert verdict({"pixels": {**refused, "exposed.verbatim": Score(value=3)}}, suspects=3)[2] == (
        "3 of 200 synthetic images look like one particular training patient (pixels: 3 nearly identical); how many "
        "more there are, nobody can tell: this model has seen held-out patients, so they are no control; give held-out "
        "patients that it has not seen"
    )


def test_a_blind_detector_is_no_all_clear() -> None:
    for recall, shown in ((0.5, "50 %"), (None, "0 %")):
        assert verdict({"pixels": scores(recall=recall)}) == (
            "cannot tell",
            11,
            f"pixels found only {shown} of exact copies that were planted, so it sees too little here",
        )


def test_no_power_at_all() -> None:
    assert verdict({"pixels": scores()}, Score(value=None, reason="5 samples are too few")) == (
        "cannot tell",
        11,
        "nothing was found, and nothing could have been: 5 samples are too few",
    )


def test_files_that_were_not_read_are_no_all_clear() -> None:
    assert verdict({"pixels": scores()}, unread=2) == (
        "cannot tell",
        11,
        (
            "nothing was found, but 2 synthetic files were not compared: withhold.csv lists them; repair or convert "
            "them, or take them out of the folder"
        ),
    )


def test_suspects_that_are_few() -> None:
    assert verdict({"pixels": scores()}, suspects=2) == (
        "nothing found",
        0,
        (
            "no copies of training images; copies from 1.0 % of the synthetic images on would have been seen; 2 that "
            "may be alike by chance are in withhold.csv"
        ),
    )
    assert verdict({"pixels": scores()}, suspects=2, striking=1) == (
        "cannot tell",
        11,
        (
            "1 synthetic image is far more like one training image than any is like a held-out one, which is too few "
            "for a share of copies; look at the first suspects in report.html"
        ),
    )


def test_images_that_no_detector_would_find_are_no_all_clear() -> None:
    assert verdict({"pixels": scores()}, unlike="60 % of them are inverted") == (
        "cannot tell",
        11,
        "nothing was found, but 60 % of them are inverted",
    )


def test_training_images_that_were_not_read_are_no_all_clear() -> None:
    assert verdict({"pixels": scores()}, missing=3) == (
        "cannot tell",
        11,
        (
            "nothing was found, but 3 training images were left out, and copies of them would not be seen: "
            "repair them, or take out of the folder what was not trained on"
        ),
    )


def test_the_numbers_are_those_of_the_detector_that_finds_most() -> None:
    answer = judge(
        {"pixels": scores(low=0.02, high=0.05), "copy": scores(low=0.08, high=0.1)}, SEEN, samples=9, suspects=1,
        must_see=0.01,
    )  # fmt: skip
    assert (answer.share.low, answer.share.high, answer.seen, answer.suspects) == (0.08, 0.1, 0.01, 1)
