"""Messages of the command line in the words of Python."""

from __future__ import annotations

import pytest

from benchmark.api.wording import in_python


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("--must-see 2 is no share", "must_see= 2 is no share"),
        ("which fits? --patients each-file if each", "which fits? patients='each-file' if each"),
        ("--patients '([0-9]+)_' for the 3 patients", "patients='([0-9]+)_' for the 3 patients"),
        ("another rule: --patients)", "another rule: patients=)"),
        ("--columns patient=COLUMN,file=COLUMN", "options={'columns': 'patient=COLUMN,file=COLUMN'}"),
        ("--set-data window=1,2", "options: window=1,2"),
    ],
)
def test_options_are_arguments(line: str, python: str) -> None:
    assert in_python(line) == python
