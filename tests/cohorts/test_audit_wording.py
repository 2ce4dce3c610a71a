"""What the data set `folder` says, with the options of `bench audit`."""

from __future__ import annotations

import pytest

from benchmark.cohorts.audit_wording import audit_words, in_audit
from benchmark.core.errors import UsageError


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("--group-pattern none if each", "--patients each-file if each"),
        ("(another rule: --group-pattern)", "(another rule: --patients)"),
        ("group_pattern 'P' finds no patient in x.png", "--patients 'P' finds no patient in x.png"),
        ("table names p.csv, which is no file", "--patients names p.csv, which is no file"),
    ],
)
def test_options_have_the_names_of_an_audit(there: str, here: str) -> None:
    assert in_audit(there) == here


def test_message_and_hint_of_an_error_name_them() -> None:
    with pytest.raises(UsageError) as caught, audit_words():
        raise UsageError("group_pattern 'P' is wrong", "choose another --group-pattern")
    assert str(caught.value) == "--patients 'P' is wrong\n  hint: choose another --patients"
