"""Shares as text."""

from __future__ import annotations


def percent(share: float, digits: int = 1) -> str:
    """Return `7.4 %` for 0.074, as terminal, reports and documents write it."""
    return f"{100 * share:.{digits}f} %"
