"""Where a test's body runs: always on the CPU, so that the bodies are known to work, and on a GPU with `-m gpu`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for scripts.gpu_checks, whose comparisons these share


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The device under test, always compared with the CPU."""
    name: str = request.param
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    return name
