"""The list of planted errors does not rot: every text is in the code once, and every test is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts.mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why)
def test_every_error_still_applies_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() or not name


def test_no_error_is_planted_twice() -> None:
    assert max(Counter((mutant.file, mutant.old, mutant.new) for mutant in MUTANTS).values()) == 1
    assert len(MUTANTS) >= 40
    assert {mutant.why for mutant in MUTANTS} >= {
        "tau from test patients", "wrong heldout_row", "sign of the loss attack",
        "the last instead of the first training patients",
    }  # fmt: skip
