from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def quiet() -> Callable[[str], None]:
    return lambda text: None
