"""A data set that is prepared once for all tests of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.cohorts.open import open_cohort
from benchmark.runs.config import RunConfig, resolve


@pytest.fixture(scope="session")
def prepared(xrays: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What names the films, prepared at 32 pixels."""
    cache = tmp_path_factory.mktemp("prepared")
    common = {"data": "cxr-pneumonia", "data.root": xrays, "image_size": 32, "cache": cache}
    config = RunConfig.of(
        {"model": {"name": "gaussian"}, "data": {"name": "cxr-pneumonia", "root": xrays, "image_size": 32},
         "cache": cache}, "test",
    )  # fmt: skip
    resolved = resolve(config)
    open_cohort(config.data, resolved.data, resolved.dataset, cache=cache, log=lambda text: None)
    return common
