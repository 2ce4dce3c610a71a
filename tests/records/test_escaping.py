"""What names and reasons of others become in each format."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.records.escaping import csv, html, latex, markdown

OBEYED = ["\x1b[31m", "\x07", "\x00", "\u202e", "\u2066", "\u200b", "\x9b", "\u2028"]


@pytest.mark.parametrize("sign", OBEYED)
def test_what_is_obeyed_is_never_raw(sign: str) -> None:
    letter = sign[0]
    texts = [markdown(f"a{sign}b"), str(html(f"a{sign}b")), latex(f"a{sign}b"), csv(pd.DataFrame({"x": [f"a{sign}b"]}))]
    assert not [text for text in texts if letter in text]
    assert all("a" in text and "b" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", "a\\|b"), ("a*b*", "a\\*b\\*"), ("`x`", "\\`x\\`"), ("learning_rate", "learning\\_rate"),
        ("[a](b)", "[a\\](b)"), ("0.1 [0.0, 0.2]", "0.1 [0.0, 0.2]"), ("<b>", "&lt;b&gt;"),
        ("http://x", "http:\\//x"), ("www.x", "www\\.x"), ("# x", "\\# x"), ("a\nb", "a b"), ("a\\b", "a\\\\b"),
    ],
)  # fmt: skip
def test_markdown(text: str, expected: str) -> None:
    assert markdown(text) == expected


def test_html() -> None:
    assert html("a\x1b[31m\u202e<b>") == "a\\x1b[31m\\u202e&lt;b&gt;"
    assert html('<a href="x">\'&') == "&lt;a href=&#34;x&#34;&gt;&#39;&amp;"


def test_latex() -> None:
    assert latex("a_b & 5 % of $x^2$ \\input{x} #~") == (
        r"a\_b \& 5 \% of \$x\textasciicircum{}2\$ \textbackslash{}input\{x\} \#\textasciitilde{}"
    )
    assert latex('"x" ---seed -1') == r"{\char34}x{\char34} -{}-{}-seed -1"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_csv_holds_no_formula(sign: str) -> None:
    assert csv(pd.DataFrame({"x": [f"{sign}cmd()"]})).splitlines()[1] == f"'{sign}cmd()"
