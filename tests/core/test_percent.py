"""Shares as text."""

from __future__ import annotations

import pytest

from benchmark.core.percent import percent


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(0.0742, 1, "7.4 %"), (1.0, 0, "100 %"), (0.0, 1, "0.0 %"), (0.0742, 2, "7.42 %")]
)
def test_a_space_stands_before_the_sign(share: float, digits: int, text: str) -> None:
    assert percent(share, digits) == text
