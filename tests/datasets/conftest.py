from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real set; the test skips where it is missing."""

    def folder(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"real data {SHARED / name} is not on this machine")
        return SHARED / name

    return folder


@pytest.fixture
def quiet() -> Callable[[str], None]:
    return lambda text: None
