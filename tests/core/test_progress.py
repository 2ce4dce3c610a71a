"""What is printed while a command runs."""

from __future__ import annotations

import pytest

from benchmark.core.progress import printable, to_stderr


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("P01\nleaks 0", "P01\\nleaks 0"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a\xa0b", "a\\xa0b"),
        ("\udcff", "\\udcff"),
        ("Mu\u0308ller 1 正常 [bold]", "Mu\u0308ller 1 正常 [bold]"),
    ],
)
def test_names_cannot_steer_the_terminal(name: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    to_stderr(name)
    assert capsys.readouterr().err == f"{shown}\n"
    assert printable(f"{name}\n", keep="\n") == f"{name if chr(10) in name else shown}\n"
