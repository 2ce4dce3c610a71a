"""A report's input refuses to look like an all-clear that nobody measured, and survives JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.core.errors import BadDataError, UsageError
from benchmark.core.types import Score
from benchmark.evaluation.report.data import ReportInput, read_input, write_input

from .conftest import Made


def refusal(error: pytest.ExceptionInfo[BadDataError]) -> str:
    return str(error.value)


@pytest.mark.parametrize("kind", ["hold", "nothing found", "cannot tell"])
def test_nothing_scored_is_no_report(made: Made, kind: str) -> None:
    given = made(kind)
    unscored = replace(given.detectors[0], scores={"copies.tau": Score(value=0.9)})
    for detectors in ((), (unscored,)):
        with pytest.raises(UsageError) as error:
            replace(given, detectors=detectors)
        assert str(error.value) == "there is nothing to report: no detector was scored\n  hint: run the audit again"


def test_nothing_found_needs_a_number_of_every_detector(made: Made) -> None:
    given = made("nothing found")
    none = {"exposed.items": Score(value=None, reason="refused: seen")}
    second = replace(given.detectors[1], scores={**given.detectors[1].scores, **none})
    with pytest.raises(BadDataError) as error:
        replace(given, detectors=(given.detectors[0], second))
    assert refusal(error) == (
        "the verdict is 'nothing found', but copy was not scored\n"
        "  hint: judge again: a detector that was refused makes it 'cannot tell'"
    )


def test_nothing_found_needs_every_file(made: Made) -> None:
    with pytest.raises(BadDataError) as error:
        made("nothing found", not_compared=("broken.png",))
    assert refusal(error) == (
        "the verdict is 'nothing found', but 1 synthetic files were not compared\n"
        "  hint: judge again: a file that nobody could read makes it 'cannot tell'"
    )


def test_nothing_found_counts_the_suspects_of_the_list(made: Made) -> None:
    with pytest.raises(BadDataError) as error:
        made("nothing found", suspects=made("hold").suspects)
    assert refusal(error) == (
        "the verdict counts 0 suspects, and the list holds 2\n  hint: give the list that the verdict was made of"
    )


def test_json_keeps_everything(made: Made, tmp_path: Path) -> None:
    for kind in ("hold", "nothing found", "cannot tell"):
        given: ReportInput = made(kind)
        write_input(given, tmp_path / "report.json")
        assert read_input(tmp_path / "report.json") == given


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(BadDataError) as error:
        read_input(path)
    assert str(error.value) == (f"{path} is no report of this version: Field required\n  hint: write the report again")
